"""Finds in an agent's last message why the agent changed nothing: it asks a question, or it was denied something.

Only a question at the end of the message counts. Earlier ones may be questions that the agent answers itself.
"""

import re
from typing import Final

_MAX_CHARACTERS: Final = 1000
_CODE: Final = re.compile(r"^(```|~~~).*?(^\1|\Z)", re.DOTALL | re.MULTILINE)
_LIST_ITEM: Final = re.compile(r"\s*([-*+•]|\(?\w{1,2}[.):])\s")
_QUESTION_MARKS: Final = "?？؟՞⁇⁈"  # noqa: RUF001 (other scripts)
_AFTER_SENTENCE: Final = " \t*_`~\"'”’»)]"  # noqa: RUF001 (typographic quotation marks)
_SENTENCE: Final = re.compile(rf"(?<=[.!。{_QUESTION_MARKS}])[{re.escape(_AFTER_SENTENCE)}]*\s+")
_WAITS: Final = re.compile(
    r"\b(let me know|please (tell|confirm|clarify|choose|advise|answer|specify|provide|decide|pick|reply|share)"
    r"|wait(ing)? for (your|an?)|(need|awaiting|await) (your|more|further|an answer|clarification)|tell me)\b",
    re.IGNORECASE,
)
_COURTESY: Final = re.compile(
    r"\banything else\b|\b(let me know|tell me) if (you|there)\b|\bhow else\b|\bhelp (you )?with\b(?!.*\bwhich\b)",
    re.IGNORECASE,
)
_DENIAL: Final = re.compile(
    r"\b(denied|den(y|ies)|permissions?|permitted|allow(ed)?|blocked|refused|forbidden|cannot|can[’']?t|could ?n[o’']t"  # noqa: RUF001
    r"|could not|unable|not able)\b",
    re.IGNORECASE,
)


def question(text: str) -> str:
    """Return the question at the end of a text, with its list of choices if any; empty if the text ends otherwise.

    An offer of further help does not count as a question.
    """
    paragraphs = _paragraphs(text)
    last = next((index for index, part in reversed(list(enumerate(paragraphs))) if not _is_list(part)), None)
    if last is None:
        return ""
    spoken = paragraphs[last].splitlines()
    while spoken and _LIST_ITEM.match(spoken[-1]):
        spoken.pop()
    sentences = _SENTENCE.split(" ".join(spoken).strip())
    end = sentences[-1]
    asks = end.rstrip(_AFTER_SENTENCE).endswith(tuple(_QUESTION_MARKS)) or _WAITS.search(end)
    if not asks or _COURTESY.search(end):
        return ""
    return "\n\n".join(paragraphs[last:])[-_MAX_CHARACTERS:].strip()


def mentions_denial(text: str) -> bool:
    """Return whether a text says that something was not permitted or was not possible."""
    return _DENIAL.search(text) is not None


def _paragraphs(text: str) -> list[str]:
    without_code = _CODE.sub("", text.replace("\r\n", "\n"))
    return [part.strip() for part in re.split(r"\n\s*\n", without_code) if part.strip()]


def _is_list(paragraph: str) -> bool:
    return all(_LIST_ITEM.match(line) or line.startswith((" ", "\t")) for line in paragraph.splitlines())
