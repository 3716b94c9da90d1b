"""The commands that README.md and CONTRIBUTING.md name, and how each is executed by a test.

`tests/test_documented.py` demands that every command of the documents stands here, and nothing else. `make test-docs`,
which is `tests/docs`, executes those of TO_THE_END, UNTIL, LABS and BY_HAND as they stand, in a clone of the project.
"""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
DOCUMENTS = ("README.md", "CONTRIBUTING.md")
BEGINNINGS = r"(make|python3?|py|jupyter|conda|pip|nbgrader|export|\.venv[/\\]\S+) "

TO_THE_END = {  # command: what it says, as a regular expression
    "make help": r"make lab +set up",
    "make check": r"Everything needed is here",
    "python -m helpers.check_environment": r"Everything needed is here",
    "make data": r"MNIST .*verified(.|\n)*CIFAR-10 .*verified",
    "make notebooks": r"00_start_here\.ipynb: \d+ kB(.|\n)*06_pytorch_cnn_on_cifar10\.ipynb: \d+ kB",
    ".venv/bin/python -m helpers.build_notebooks 01": r"^01_gelu_gradient_descent\.ipynb: \d+ kB$",
    ".venv/bin/jupytext --to py:percent --output notebooks/text/01_gelu_gradient_descent.py "
    "notebooks/01_gelu_gradient_descent.ipynb": r"(Writing|timestamp of) notebooks/text/01_gelu_gradient_descent\.py",
    "make student": r"build/student: 7 notebooks",
    "python -m helpers.student --nbgrader COURSE/source/workbook": r"workbook: 7 notebooks",
    ".venv/bin/python -m helpers.grade FOLDER": r"ada +01_gelu_gradient_descent\.ipynb +0 +12",
    "make submission": r"artifacts/submission\.zip: [\d.]+ MB",
    "make theory-report": r"artifacts/theory_report\.pdf: [\d.]+ MB",
    "python -m helpers.readme_picture": r"readme\.png: \d+ kB\nreadme_house\.png: \d+ kB",
    "make lint": r"Success: no issues found",
    "export PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu": r"^$",
}
IN_PLACE = ("make check", "python -m helpers.check_environment")  # they look at the environment that is here
UNTIL = {  # command that takes long: the file that it has written when it is stopped with Ctrl-C
    "make mlp": "build/p1/*_seed0.json",
    "make cnn": "build/p2/fast_seed0/p2_history.json",
}
LABS = ("make lab", ".venv/bin/jupyter lab notebooks/00_start_here.ipynb", "jupyter lab notebooks/00_start_here.ipynb")
BY_HAND = ("python3 -m venv .venv", ".venv/bin/python -m pip install -r requirements.txt")  # in this order
ELSEWHERE = {  # command: the file that has it executed whole, on another machine or because it runs all tests
    "make test": ".ci/run",
    "make test-browser": ".ci/run",
    "make test-faults": ".github/workflows/test.yml",
    "make test-docs": ".github/workflows/test.yml",
    "make test-oldest": ".github/workflows/test.yml",
    "make test-newest": ".github/workflows/test.yml",
    "make coverage": ".github/workflows/test.yml",
    "make bench": ".github/workflows/test.yml",
    'make bench SECTIONS="mlp cnn"': ".github/workflows/test.yml",
    r"py -3.13 -m venv .venv": ".github/workflows/test.yml",
    r".venv\Scripts\python -m pip install -r requirements.txt": ".github/workflows/test.yml",
    r".venv\Scripts\jupyter lab notebooks/00_start_here.ipynb": ".github/workflows/test.yml",
    r".venv\Scripts\python -m pytest tests notebooks --nbval-lax --nbval-current-env --nbval-cell-timeout=120 "
    r"--nbval-sanitize-with=tests/nbval.cfg": ".github/workflows/test.yml",
    "conda env create -f environment.yml": ".github/workflows/test.yml",
    "conda activate deep-learning-workbook": ".github/workflows/test.yml",
    "nbgrader generate_assignment workbook --create": ".github/workflows/test.yml",
    "nbgrader autograde workbook --create": ".github/workflows/test.yml",
}


def commands(text):
    """Return every command of a document, in order: the lines of its shell blocks, and code in running text."""
    found = []
    for block in re.findall(r"^```(?:bash|powershell)\n(.*?)^```", text, flags=re.M | re.DOTALL):
        found += [re.sub(r"\s+#.*", "", line).strip() for line in block.splitlines()]
    prose = re.sub(r"^```.*?^```", "", text, flags=re.M | re.DOTALL)
    found += [" ".join(code.split()) for code in re.findall(r"`([^`]+)`", prose)]
    parts = [part.strip() for line in found for part in line.split("&&")]
    return list(dict.fromkeys(part for part in parts if re.match(BEGINNINGS, part)))


def of_the_documents():
    """Return every command that a document names."""
    texts = [(ROOT / name).read_text(encoding="utf-8") for name in DOCUMENTS]
    return list(dict.fromkeys(command for text in texts for command in commands(text)))
