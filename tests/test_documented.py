"""Every command of the documents is executed by a test; `make test-docs` runs the long ones."""

import documented
import pytest


def test_every_command_of_the_documents_has_its_test_and_no_other_is_kept():
    groups = (documented.TO_THE_END, documented.UNTIL, documented.LABS, documented.BY_HAND, documented.ELSEWHERE)
    tried = [command for group in groups for command in group]
    assert len(tried) == len(set(tried))
    assert set(documented.of_the_documents()) == set(tried)


@pytest.mark.parametrize(("command", "place"), documented.ELSEWHERE.items())
def test_what_is_executed_elsewhere_stands_there_as_it_is(command, place):
    lines = (documented.ROOT / place).read_text(encoding="utf-8").splitlines()
    plain = [line.partition("  #")[0].removeprefix("SKIP_TRAININGS=1 ") for line in lines]
    words = [line.strip().removeprefix("- ").removeprefix("run: ").partition(" --version")[0] for line in plain]
    assert command in words, f"{place} does not run {command}"


def test_commands_are_found_wherever_they_stand():
    text = "Say `make a` or `make\nb`, not `make`.\n\n```bash\nmake c   # why\npython3 x.py && make d\n```\n\n`numpy`\n"
    assert documented.commands(text) == ["make c", "python3 x.py", "make d", "make a", "make b"]
