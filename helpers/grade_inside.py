"""The untrusted side of grading: shuts itself in, runs one notebook, and hands its answers out as plain data.

`helpers.grade` copies this file into the edition that it grades with, where no answers are, and starts it there twice:

1. `contain` runs inside fresh namespaces (user, mount, network, process ids). It makes every file system read-only,
   lays an empty one over what the notebook has no business to see, gives it a small one of its own in memory, drops
   every privilege and starts the second part.
2. `run` executes the cells. Where one calls `check("1a", ...)` the values go out through a pipe, as numbers and text,
   never as pickles. Of a function or a class only a handle goes out; the grader then asks for what it does, value by
   value. Nothing in this process knows what is right, so nothing that the notebook does here can make it so.
"""

import ast
import base64
import builtins
import ctypes
import json
import os
import re
import select
import shutil
import sys
import threading
import time
import tokenize

try:
    import resource
except ImportError:  # Windows, where helpers.grade says that it needs Linux
    resource = None  # type: ignore[assignment]

LONGEST = 40_000_000  # bytes of a message: a network of a million weights is 15 MB
LARGEST_FILE = 50_000_000  # bytes of a notebook
TICK = "\N{CHECK MARK}"
OTHERS = {  # what is handed in instead of a notebook, and what to do
    ".zip": "a zip; unpack it into a folder with the student's name",
    ".pdf": "a PDF; ask for the notebook itself, its .ipynb file",
}
CLAIM = re.compile(TICK + r" (\w[\w ]{0,20}?) \(")


# ---------------------------------------------------------------------------------------------------- the pipe


class Hung(BaseException):
    """The other side did not answer in time; no `except Exception` of a check may swallow it."""


class Broken(BaseException):
    """The other side is gone, or what it sent is no message."""


class Channel:
    """Messages of JSON over a socket: eight bytes of length, then the text."""

    def __init__(self, number):
        self.number = number

    def send(self, message):
        """Write one message; raises Broken where nobody reads."""
        body = json.dumps(message).encode()
        try:
            rest = memoryview(len(body).to_bytes(8, "big") + body)
            while rest:
                rest = rest[os.write(self.number, rest) :]
        except OSError as error:
            raise Broken(str(error)) from None

    def receive(self, until=None):
        """Return the next message; raises Hung at the time `until` (of time.monotonic) and Broken at an end."""
        size = int.from_bytes(self._read(8, until), "big")
        if size > LONGEST:
            raise Broken(f"a message of {size} bytes")
        try:
            message = json.loads(self._read(size, until))
        except (ValueError, RecursionError):
            raise Broken("no JSON") from None
        if not isinstance(message, dict):
            raise Broken("no message")
        return message

    def _read(self, size, until):
        parts, missing = [], size
        while missing:
            if until is not None:
                left = until - time.monotonic()
                if left <= 0 or not select.select([self.number], [], [], left)[0]:
                    raise Hung
            try:
                part = os.read(self.number, min(missing, 1 << 20))
            except OSError:
                part = b""
            if not part:
                raise Broken("the other side is gone")
            parts.append(part)
            missing -= len(part)
        return b"".join(parts)


# ---------------------------------------------------------------------------------------------------- plain data


def encode(value, depth=0, network=False):
    """Return `value` as plain data; what is neither numbers nor text becomes its type's name.

    With `network`, an object with lists W and b of arrays gives its numbers away.
    """
    try:
        return _encode(value, depth, network)
    except Exception:  # an object may do anything when it is looked at
        return {"odd": type(value).__name__[:40]}


def _encode(value, depth, network):
    import numpy as np

    if value is None or isinstance(value, bool) or (type(value) is int and value.bit_length() < 1000):
        return {"plain": value}
    if value is ...:
        return {"dots": True}
    if type(value) is int:
        return {"huge": True}
    if type(value) in (float, complex):
        return {"array": [value.real, value.imag] if type(value) is complex else [value], "shape": [], "scalar": True}
    if isinstance(value, str):
        return {"plain": str(value)[:200]}
    if isinstance(value, list | tuple) and depth < 6 and len(value) <= 10_000:
        return {"list": [encode(entry, depth + 1) for entry in value]}
    if network and _is_network(value):
        layers = {name: [encode(np.asarray(a, dtype=np.float32)) for a in getattr(value, name)] for name in ("W", "b")}
        kinds = [type(a).__name__[:40] for a in getattr(value, "activations", ())]
        return {"network": layers, "activations": kinds, **_handle(value)}
    if callable(value):
        return {"callable": True, **_handle(value)}
    torch = hasattr(value, "detach")
    if torch:
        value = value.detach().cpu().numpy()
    if isinstance(value, np.ndarray | np.generic | range) and np.asarray(value).dtype.kind in "biufc":
        array = np.asarray(value)
        kind = {"b": "|b1", "c": "<c16"}.get(array.dtype.kind, "<f4" if array.dtype == np.float32 else "<f8")
        packed = base64.b64encode(np.ascontiguousarray(array, dtype=kind).tobytes()).decode()
        return {"packed": packed, "kind": kind, "shape": list(array.shape)} | ({"torch": True} if torch else {})
    if isinstance(value, np.ndarray) and value.size <= 10_000:
        return {"list": [encode(entry, depth + 1) for entry in value.tolist()]}
    numbers = np.asarray(value)
    if numbers.dtype.kind in "biufO" and numbers.size <= 10_000:  # a fraction, a decimal, a sequence of another kind
        return _encode(numbers.astype(float), depth, network)
    return {"odd": type(value).__name__[:40]}


def _is_network(value):
    return not isinstance(value, type) and all(hasattr(value, name) for name in ("W", "b", "forward"))


def _handle(value):
    return {"name": str(getattr(value, "__name__", ""))[:40], "from": str(getattr(value, "__module__", ""))[:80]}


def decode(data, callable_of=None, most=10_000, torch=False):
    """Return the value that plain data describe; raises ValueError for data that describe none.

    `callable_of(data)` makes the stand-in for a function; arrays of more than `most` numbers are refused; with `torch`
    what was a tensor is one again.
    """
    try:
        return _decode(data, callable_of, most, torch)
    except ValueError:
        raise
    except (TypeError, LookupError, ArithmeticError, AttributeError, MemoryError, RecursionError) as error:
        raise ValueError(f"no value ({type(error).__name__})") from None


def _decode(data, callable_of, most, torch):
    import numpy as np

    if not isinstance(data, dict):
        raise ValueError("no value")
    if "dots" in data:
        return ...
    if "huge" in data:
        return 10**400
    if "plain" in data and isinstance(data["plain"], str | bool | int | None):
        return data["plain"]
    if "list" in data and isinstance(data["list"], list) and len(data["list"]) <= most:
        return [decode(entry, callable_of, most) for entry in data["list"]]
    if data.get("array"):
        numbers = [float(number) for number in data["array"]]
        return complex(*numbers) if len(numbers) == 2 else numbers[0]
    if "packed" in data and data.get("kind") in ("|b1", "<c16", "<f4", "<f8"):
        array = np.frombuffer(base64.b64decode(data["packed"]), dtype=data["kind"])
        if array.size > most or len(data["shape"]) > 8:
            raise ValueError(f"{array.size} numbers, where at most {most} can be asked for")
        array = array.reshape([int(n) for n in data["shape"]]).copy()  # bytes cannot be written to
        return _tensor(array) if torch and data.get("torch") else array
    if callable_of and ("callable" in data or "network" in data):
        return callable_of(data)
    name = re.sub(r"\W", "", str(data.get("odd", "object"))) or "object"
    return type(name, (), {})()


def _tensor(array):
    import torch

    return torch.from_numpy(array)


# ---------------------------------------------------------------------------------------------------- the cells


class Noted:
    """What a check says while it is graded: that the answer has been noted, right or wrong."""

    status, sentence, earned, points = "noted", "noted for the grader.", 0.0, 0.0

    def __repr__(self):
        return self.sentence


_channel: Channel  # to the grader; `run` opens it
_turn = threading.Lock()


def check(question, *given):
    """Hand the answer to the grader, which may ask what functions in it do, and say that it is noted."""
    with _turn:
        values = [encode(value, network=question == "P1e") for value in given[:20]]
        _channel.send({"check": str(question)[:40], "values": values})
        while True:
            wish = _channel.receive()
            if "done" in wish:
                return Noted()
            _channel.send(_grant(wish, given))


def _grant(wish, given):
    """Return what a function or a class of the answer does, or what it raises."""
    import warnings

    import numpy as np

    arguments = [decode(value, most=10**7, torch=True) for value in wish["arguments"]]
    settings = {name: decode(value) for name, value in wish.get("settings", {}).items()}
    try:
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if "probe" in wish:
                import probes

                pieces = _pieces(given, wish["parts"])
                return {"value": encode(getattr(probes, wish["probe"])(*arguments, *pieces, **settings))}
            piece = given[wish["call"]]
            if hasattr(piece, "eval") and hasattr(piece, "parameters"):  # a PyTorch network, which is only asked
                piece.eval().requires_grad_(False)
            return {"value": encode(piece(*arguments))}
    except (Exception, SystemExit) as error:
        try:
            said = str(error)[:200]
        except Exception:
            said = ""
        return {"raised": type(error).__name__[:40], "said": said}


def _pieces(given, names):
    """Return the reader's pieces, also where they were given all at once in a module or a dict."""
    if len(given) > 1 or len(names) == 1:
        return given
    held = given[0] if isinstance(given[0], dict) else vars(given[0])
    lower = {str(name).lower(): piece for name, piece in held.items()}
    return [lower[name.lower()] for name in names]


def silent(*_, **__):
    """Stand in for `hint`, `answer` and `progress`, which have nothing to say here."""
    return Noted()


class _Name(ast.NodeTransformer):
    """Lets `check("1a", ...)` reach the grader under a second name, whatever the notebook made of the first."""

    def visit_Call(self, node):
        self.generic_visit(node)
        first = node.args[0] if node.args else None
        if isinstance(node.func, ast.Name) and node.func.id == "check" and isinstance(first, ast.Constant):
            node.func.id = "__check__"
        return node


def read_cells(path):
    """Return the sources of the code cells of a notebook, and the questions that its outputs claim as right.

    Raises ValueError for a file that is none.
    """
    if not os.path.isfile(path) or os.path.islink(path):
        raise ValueError("it is not a file")
    other = OTHERS.get(os.path.splitext(path)[1].lower())
    if other:
        raise ValueError(f"it is not a notebook but {other}")
    if os.path.getsize(path) > LARGEST_FILE:
        raise ValueError(f"it has {os.path.getsize(path) / 1e6:.0f} MB; have its outputs cleared")
    none = ValueError("it is not a notebook")
    try:
        with open(path, encoding="utf-8") as file:
            notebook = json.load(file)
    except (ValueError, RecursionError):
        raise none from None
    if isinstance(notebook, dict) and "worksheets" in notebook:
        raise ValueError("it has the form of before 2015; renew it with jupyter nbconvert --to notebook --inplace")
    try:
        cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
        sources = [_text(cell["source"]) for cell in cells]
    except (KeyError, TypeError):
        raise none from None
    claims = set()
    for cell in cells:
        claims |= set(CLAIM.findall(json.dumps(cell.get("outputs", ""), ensure_ascii=False)))
    return sources, claims


def _text(source):
    return source if isinstance(source, str) else "".join(source)


def run(number, seconds, memory, guard):
    """Run the file that the grader names, cell by cell, and report what is worth a remark."""
    global _channel
    for kind, most in (
        (resource.RLIMIT_AS, (memory + 2000) << 20),  # the grader counts resident memory; this stops a single grab
        (resource.RLIMIT_CPU, 4 * seconds + 10),
        (resource.RLIMIT_FSIZE, 256 << 20),
        (resource.RLIMIT_NOFILE, 512),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(kind, (most, most))
    if guard:
        _refuse_network()
    _channel = Channel(number)
    job = _channel.receive()
    try:
        if job["file"].endswith(".py"):
            with tokenize.open(job["file"]) as file:  # a mark at its beginning and a declared encoding count
                sources, claims = [file.read(), *job["checks"].get(job["file"].rpartition("/")[2], [])], set()
        else:
            sources, claims = read_cells(job["file"])
    except (SyntaxError, LookupError, UnicodeError):
        _channel.send({"trouble": "it is in an encoding that Python does not read; ask for it in UTF-8"})
        return
    except (OSError, ValueError) as error:
        _channel.send({"trouble": str(error) if isinstance(error, ValueError) else "it cannot be read"})
        return
    found = re.findall(r"""\bcheck\(\s*["']([\w ]{1,20})["']""", "\n".join(sources))
    _channel.send({"cells": len(sources), "asked": found[:200], "claims": sorted(claims)[:50]})
    shell = _shell(job["file"])
    errors: list[str] = []
    skip = set(job["skip"])
    for position, source in enumerate(sources, start=1):
        if source.strip() in skip:
            continue
        result = shell.run_cell(source, store_history=False)
        raised = result.error_before_exec or result.error_in_exec
        if raised is not None and len(errors) < 3:
            where = f"cell {position}" if len(sources) > 1 else "it"
            errors.append(f"{where} raised {type(raised).__name__}: {str(raised)[:100]}")
        mine = shell.user_ns.get("check", check) is check or job["file"].endswith(".py")  # p2.py has a check of its own
        if not mine and "overwritten" not in errors:
            errors.append("overwritten")
    sys.stdout.flush()
    _channel.send({"end": errors})


def _shell(file):
    from IPython.core.interactiveshell import InteractiveShell
    from traitlets.config import Config

    settings = Config()
    settings.HistoryManager.enabled = False
    shell = InteractiveShell.instance(config=settings, colors="NoColor")
    shell.ast_transformers.append(_Name())
    shell.showtraceback = lambda *_, **__: None  # type: ignore[method-assign]  # errors are told, not printed
    shell.run_cell("get_ipython().register_magic_function(lambda line: None, 'line', 'matplotlib')")  # nothing is shown
    shell.user_ns["__name__"] = os.path.basename(file)[:-3] if file.endswith(".py") else "__main__"
    sys.path.insert(1, os.path.abspath(os.path.dirname(file)))  # modules beside it are part of it
    os.chdir(os.path.abspath(os.path.dirname(file)))
    vars(builtins)["__check__"] = check
    return shell


def _refuse_network():
    """The weak way, without namespaces: Python code that asks for a socket is refused. C code is not."""
    import socket

    def refused(*_, **__):
        raise OSError("there is no network while a notebook is graded")

    for place, name in ((socket.socket, "connect"), (socket.socket, "connect_ex"), (socket, "create_connection"),
                        (socket, "getaddrinfo")):  # fmt: skip
        setattr(place, name, refused)


# ---------------------------------------------------------------------------------------------------- the walls

_MOUNT_SETATTR, _HERE, _RECURSIVE, _READ_ONLY = 442, -100, 0x8000, 1
_NO_SUID, _NO_DEVICES, _BIND = 2, 4, 4096


class _Attributes(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint64) for name in ("set", "clear", "propagation", "user_namespace")]


def contain(base, hidden, megabytes=256):
    """Make every file system read-only but a small one in memory around `base`, which holds the edition and a copy.

    What else lies beside `base`, the copies of others, is hidden. Needs the rights of a fresh user and mount namespace;
    nothing outside of it changes.
    """
    library = ctypes.CDLL(None, use_errno=True)

    def must(done, what):
        if done != 0:
            raise OSError(ctypes.get_errno(), f"{what}: {os.strerror(ctypes.get_errno())}")

    def read_only(path, how=0):
        attributes = _Attributes(_READ_ONLY, 0, 0, 0)
        must(library.syscall(_MOUNT_SETATTR, _HERE, path.encode(), how, ctypes.byref(attributes), 32), path)

    def mount(source, path, kind, flags, settings):
        must(library.mount(source.encode(), path.encode(), kind, flags, settings), path)

    edition, copy = (os.open(os.path.join(base, name), os.O_RDONLY) for name in ("edition", "copy"))
    read_only("/", _RECURSIVE)
    plain = _NO_SUID | _NO_DEVICES
    for path in hidden:
        if os.path.isdir(path):
            mount("tmpfs", path, b"tmpfs", plain | _READ_ONLY, b"size=4k")
    mount("tmpfs", os.path.dirname(base), b"tmpfs", plain, f"size={megabytes}m,nr_inodes=20k".encode())
    os.makedirs(f"{base}/edition")
    mount(f"/proc/self/fd/{edition}", f"{base}/edition", None, _BIND, None)
    read_only(f"{base}/edition")
    shutil.copytree(f"/proc/self/fd/{copy}", f"{base}/work", symlinks=True)
    if os.path.isdir("/dev/shm"):
        mount("tmpfs", "/dev/shm", b"tmpfs", plain, b"size=64m")
    os.close(edition)
    os.close(copy)
    os.chdir(f"{base}/work")


def main(arguments):
    """Start one of the two parts; `helpers.grade` gives the arguments."""
    part, base, number, seconds, memory, *hidden = arguments
    if part == "contain":
        contain(base, hidden)
        start = [sys.executable, "-I", "-B", "-c", START, f"{base}/edition", "run", base, number, seconds, memory]
        drop = ["--no-new-privs", "--bounding-set=-all", "--inh-caps=-all", "--ambient-caps=-all"]
        os.execvp("setpriv", ["setpriv", *drop, *start])
    os.chdir(f"{base}/work")
    run(int(number), int(seconds), int(memory), guard=part == "guard")


START = "import sys; sys.path.insert(0, sys.argv[1]); import grade_inside; grade_inside.main(sys.argv[2:])"
