"""Trains both networks, small, and asks one about a picture; test_environment starts it in many environments."""

import locale
import sys
import time
from pathlib import Path

if __name__ == "__main__":
    inputs, folder = map(Path, sys.argv[1:3])
    locale.setlocale(locale.LC_ALL, "")
    import acts

    from helpers import p2

    acts.mlp(inputs, folder / "p1")
    acts.cnn(inputs, folder / "p2")
    code = p2.main(["--predict", str(inputs / "picture.png"), "--model", str(folder / "p2" / "p2_model.pkl")])
    acts.report(inputs, folder / "report")
    print(f"helpers of {Path(p2.__file__).parents[1]}")
    print(f"code {code}, year {time.gmtime().tm_year}, decimal point {locale.localeconv()['decimal_point']}")
