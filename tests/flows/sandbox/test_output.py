"""The output of a command in the log: whole lines, redacted, and not too many."""

from flows.redaction import SECRETS
from flows.sandbox.output import OutputLog


def logged(*parts: bytes) -> tuple[list[str], str]:
    lines: list[str] = []
    output = OutputLog(lines.append)
    for part in parts:
        output.write(part)
    output.close()
    return lines, output.last_lines


def test_lines_are_logged_whole_and_without_control_characters() -> None:
    lines, last = logged(b"fi", b"rst\r\n\n  \x1b[31msecond\x1b[0m  \n", "thürd".encode(), b"\n\xff\nno end")
    assert lines == ["first", "  second", "thürd", "\ufffd", "no end"]
    assert last == "\n".join(lines)


def test_of_a_line_that_is_written_over_only_the_last_is_logged() -> None:
    assert logged(b"1%\r50%\r100%\r\ndone\n")[0] == ["100%", "done"]


def test_secrets_are_redacted_also_across_parts_and_lines() -> None:
    with SECRETS.run_scope():
        SECRETS.learn("the key", "first-half\nsecond-half\nthird-part")
        lines, last = logged(b"a first-", b"half\nsecond-", b"half\nthird-part b\n")
    assert "half" not in " ".join(lines) + last
    assert "third" not in " ".join(lines) + last


def test_a_flood_is_cut_and_its_end_is_still_known() -> None:
    lines, last = logged(*[b"x" * 99_999 + b"\n"] * 3, *[b"line\n" * 50_000] * 20, b"the end\n")
    assert len(lines) <= 502
    assert sum(map(len, lines)) < 60_000
    assert lines[-1] == "the rest of the output is not logged"
    assert last.endswith("line\nthe end")
    assert len(last) <= 2_000


def test_a_line_without_an_end_takes_little_memory() -> None:
    output = OutputLog(lambda _: None)
    for _ in range(100):
        output.write(b"x" * 2**18)
    assert len(output.last_lines) <= 500
