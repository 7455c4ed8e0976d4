"""Links that the check allows stay inside the repository, on a real file system too."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from flows.checks.symlinks import leads_outside

NAMES = st.sampled_from(["a", "b", "..", ".", "", "c", ".git"])
PATHS = st.lists(NAMES, min_size=1, max_size=5).map("/".join)


@given(st.dictionaries(st.sampled_from(["a", "b", "c", "a/b", "c/a"]), PATHS, min_size=1, max_size=4))
@example({"a/b": "..", "c": "a/b/.."})
def test_an_allowed_link_stays_inside_on_a_real_file_system(
    tmp_path_factory: pytest.TempPathFactory, targets: dict[str, str]
) -> None:
    links = {
        link: target for link, target in targets.items() if not any(link.startswith(f"{other}/") for other in targets)
    }
    root = tmp_path_factory.mktemp("outside") / "tree"
    root.mkdir()
    for link, target in links.items():
        (root / link).parent.mkdir(parents=True, exist_ok=True)
        (root / link).symlink_to(target or ".")
    for link in links:
        if not leads_outside(link, links):
            assert (root / link).resolve().is_relative_to(root)
