"""Makes theory_report.pdf, the answers to the theory questions with derivations and figures, from the notebooks.

    python -m helpers.theory_report                          # into artifacts/theory_report.pdf
    python -m helpers.theory_report --name "Ada Lovelace" --output report.pdf

The stored notebooks 01 to 04 are read, nothing is run. What speaks to a reader at a keyboard is left out: the places to
type, hints, explorers, code, links from page to page. Chromium prints the page, and MathJax, which comes with the
package jupyter-server-mathjax, sets the formulas; neither LaTeX nor a network is needed.
"""

import argparse
import os
import re
import shutil
import sys
import tempfile
from pathlib import Path

import jupyter_server_mathjax
import nbformat
from nbconvert import HTMLExporter
from playwright.sync_api import Error, PdfMargins, sync_playwright

from helpers import files
from helpers.build_notebooks import NOTEBOOKS

ROOT = Path(__file__).resolve().parents[1]
OUTPUT = ROOT / "artifacts" / "theory_report.pdf"
TITLE = "Assignment 1, theory: answers with derivations"
LEFT_OUT = ("### Your turn", "## Explore", "## On a real picture", "## Recap")  # each up to the next heading as high
MATHJAX = Path(jupyter_server_mathjax.__file__).parent / "static" / "MathJax.js"
_NAVIGATION = re.compile(r"\*\*(Minutes|Next:)\*?\*?.*?(?=\n\n|\Z)", re.DOTALL)
_FOLD = re.compile(r"<details>.*</details>\n*", re.DOTALL)
_LEFT = """document.querySelectorAll('.MathJax_Error, .merror, .noError').length
    + document.querySelectorAll('script[type^="math/tex"]').length - MathJax.Hub.getAllJax().length"""
_STYLE = """<script type="text/x-mathjax-config">
MathJax.Hub.Config({"HTML-CSS": {availableFonts: [], webFont: "STIX-Web", imageFont: null}});  // the package's font
</script>
<style>
@page { size: A4; margin: 18mm 16mm; }
body, .jp-Notebook { font-size: 10.5pt; padding: 0 !important; margin: 0 !important; overflow: visible !important; }
h1 { break-before: page; } .jp-Cell:nth-child(-n+2) h1 { break-before: avoid; } .front { text-align: center; }
h1, h2, h3, h4 { break-after: avoid; }
a.anchor-link { display: none; } a { color: inherit; text-decoration: none; }
.jp-Cell { padding: 2px 0 !important; } .jp-OutputArea-child, .MathJax_Display, tr { break-inside: avoid; }
img { max-width: 100%; max-height: 120mm; object-fit: contain; } pre { white-space: pre-wrap; }
.jp-OutputPrompt, .jp-InputPrompt, .jp-InputCollapser, .jp-OutputCollapser { display: none !important; }
</style>
"""


def selected(notebook):
    """Return the cells of a theory notebook that belong into a report: texts without asides, and outputs."""
    kept, out = [], 0  # `out`: the level of the heading that is being left out, or 0
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            lines, fenced = [], False
            for line in _FOLD.sub("", _NAVIGATION.sub("", cell.source)).splitlines():
                fenced ^= line.startswith("```")
                heading = 0 if fenced else (len(line) - len(line.lstrip("#"))) * (" " in line)
                if heading and (not out or heading <= out):
                    out = heading if line.startswith(LEFT_OUT) else 0
                if not out:
                    lines.append(line)
            text = _unlinked("\n".join(lines)).strip()
            if text:
                kept.append(nbformat.v4.new_markdown_cell(text))
        elif not out and cell.outputs:
            kept.append(cell)
    return kept


def _unlinked(text):
    """Return a text whose links to other notebooks and to code are plain words; `### Worked` needs no heading here."""
    text = re.sub(r"\[([^]]*)\]\((?!https?://)[^)]*\)", r"\1", text)
    return re.sub(r"^### Worked\n*", "", text, flags=re.M)


def as_html(notebooks, name=""):
    """Return one page of HTML with the selected cells of `notebooks`, in order."""
    whole = nbformat.v4.new_notebook(metadata={"language_info": {"name": "python"}})
    front = f'<h1 class="front">{TITLE}</h1>\n<p class="front">{name}</p>'
    whole.cells = [nbformat.v4.new_markdown_cell(front)]
    for notebook in notebooks:
        whole.cells += selected(notebook)
    for position, cell in enumerate(whole.cells):
        cell["id"] = f"report-{position}"
    exporter = HTMLExporter(
        mathjax_url=f"{MATHJAX.as_uri()}?config=TeX-AMS-MML_HTMLorMML-full", exclude_input=True,
        exclude_input_prompt=True, exclude_output_prompt=True, require_js_url="", jquery_url="", mermaid_js_url="",
    )  # fmt: skip
    page, _ = exporter.from_notebook_node(whole)
    return page.replace("</title>", f"</title>{_STYLE}", 1)


def chromium():
    """Return the path of a Chromium or Chrome, or None for the one that playwright brings; CHROMIUM names another."""
    names = (os.environ.get("CHROMIUM", ""), "chromium", "chromium-browser", "google-chrome", "chrome")
    return next((shutil.which(name) for name in names if name and shutil.which(name)), None)


def print_pdf(html, path):
    """Print a page of HTML into a PDF once its formulas are set; raises ValueError where that cannot be done."""
    with files.whole(path) as part, tempfile.TemporaryDirectory() as folder:
        page_file = Path(folder) / "report.html"
        page_file.write_text(html, encoding="utf-8")
        try:
            with sync_playwright() as tools:
                root = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
                browser = tools.chromium.launch(
                    executable_path=chromium(), args=["--allow-file-access-from-files", *root]
                )
                page = browser.new_page()
                page.route("http*://**", lambda route: route.abort())  # nothing from the network
                page.goto(page_file.as_uri())
                page.wait_for_function(
                    "window.MathJax && MathJax.Hub && MathJax.Hub.queue.pending === 0", timeout=120_000
                )
                page.evaluate("new Promise(done => MathJax.Hub.Queue(done))")
                left = page.evaluate(_LEFT)
                if left:
                    raise ValueError(f"{left} formulas of the report could not be set; look at their spelling")
                number = (
                    '<div style="font-size:8px;width:100%;text-align:center"><span class="pageNumber"></span></div>'
                )
                margin: PdfMargins = {"top": "18mm", "bottom": "18mm", "left": "16mm", "right": "16mm"}
                page.pdf(
                    path=part, format="A4", print_background=True, margin=margin, outline=True, tagged=True,
                    display_header_footer=True, header_template="<i></i>", footer_template=number,
                )  # fmt: skip
                browser.close()
        except Error as error:
            raise ValueError(
                f"Chromium cannot print the report ({str(error).splitlines()[0]}); install it, for example with "
                "`playwright install chromium`, or name one in the variable CHROMIUM"
            ) from None


def make(path=OUTPUT, name=""):
    """Write the report to `path` and return it; raises ValueError where a notebook or Chromium is missing."""
    files = [found for number in ("01", "02", "03", "04") for found in NOTEBOOKS.glob(f"{number}_*.ipynb")]
    if len(files) != 4:
        raise ValueError("a theory notebook is missing; run make notebooks")
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    print_pdf(as_html([nbformat.read(file, as_version=4) for file in files], name), path)
    return path


def main(arguments=None):
    """Make the report."""
    parser = argparse.ArgumentParser(prog="python -m helpers.theory_report", description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=OUTPUT, help="the PDF to write (artifacts/theory_report.pdf)")
    parser.add_argument("--name", default="", help="who hands it in, for the first page")
    given = parser.parse_args(arguments)
    return files.finish(lambda: files.megabytes(make(given.output, given.name)), given.output)


if __name__ == "__main__":
    sys.exit(main())
