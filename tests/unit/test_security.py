"""Attacks by files and addresses that come from elsewhere; docs/security.md lists them all."""

from __future__ import annotations

import ast
import io
import os
import pickle
import re
import shutil
import socket
import stat
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import pytest
import requests
import torch
import yaml
from http_server import serve
from safetensors.torch import save_file
from schema_tools import files_of
from torch import nn

from warpline.acquire import unpack, verify
from warpline.acquire.archive import Archive, SourceFailed
from warpline.acquire.fetch import fetch
from warpline.acquire.formats import locate_all
from warpline.acquire.formats.base import CaseFiles, read_description
from warpline.acquire.formats.dirlab import read_indices
from warpline.acquire.http import check_url, scheme_and_host
from warpline.acquire.landmarks import read_landmarks
from warpline.acquire.patience import Patience
from warpline.acquire.unpack import unpack as unpack_archive
from warpline.cases.exploration import read_slices
from warpline.errors import WarplineError
from warpline.fields.exchange.points import parse_points
from warpline.fields.learn2reg import read_submission
from warpline.files import read_list
from warpline.images.grid import Grid
from warpline.networks.weights import load_weights
from warpline.plan.config import _StrictLoader, read_yaml
from warpline.registration.embedding import pca
from warpline.training.checkpoints import StateFolder

ROOT = Path(__file__).parents[2]
GRID = Grid((4, 4, 4))


class Bomb:
    """Makes a folder when it is unpickled."""

    def __init__(self, place: Path):
        self.place = place

    def __reduce__(self):
        return os.mkdir, (str(self.place),)


@pytest.fixture
def bomb(tmp_path) -> Bomb:
    """A bomb, and the proof that it works: unpickled as usual it goes off."""
    found = Bomb(tmp_path / "exploded")
    pickle.loads(pickle.dumps(found))
    found.place.rmdir()
    return found


# Weights and training states --------------------------------------------------------------------


@pytest.mark.parametrize("legacy", [False, True])
def test_a_training_state_runs_no_code(tmp_path, bomb, legacy, capsys):
    state = StateFolder(tmp_path / "state")
    state.folder.mkdir()
    attack = {"step": 3, "network": bomb}
    torch.save(attack, state.last, _use_new_zipfile_serialization=not legacy)
    torch.save(attack, state.previous, _use_new_zipfile_serialization=not legacy)
    assert state.load() is None
    assert not bomb.place.exists()
    assert capsys.readouterr().out.count("cannot be read") == 2


def test_behind_an_attack_the_older_state_is_taken(tmp_path, bomb):
    state = StateFolder(tmp_path / "state")
    state.save({"step": 1})
    state.save({"step": 2})
    torch.save({"step": 3, "network": bomb}, state.last)
    assert state.load() == {"step": 1}
    assert not bomb.place.exists()


@pytest.mark.parametrize("kind", ["pickle", "torch"])
def test_a_pickle_under_the_name_of_weights_runs_no_code(tmp_path, bomb, kind):
    path = tmp_path / "weights.safetensors"
    if kind == "pickle":
        path.write_bytes(pickle.dumps({"weight": bomb}))
    else:
        torch.save({"weight": bomb}, path)
    for load in (lambda: load_weights(path, nn.Linear(2, 2)), lambda: pca.load(path)):
        with pytest.raises(WarplineError):
            load()
    assert not bomb.place.exists()


def test_weights_of_wrong_shapes_are_refused_and_none_is_taken(tmp_path):
    network = nn.Linear(2, 2)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    save_file({"weight": torch.zeros(2, 3), "bias": torch.zeros(2)}, tmp_path / "w.safetensors")
    with pytest.raises(WarplineError, match="1 tensors differ, weight first"):
        load_weights(tmp_path / "w.safetensors", network)
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())


@pytest.mark.parametrize(
    "header",
    [
        b'{"weight":{"dtype":"F32","shape":[2,2],"data_offsets":[0,99999]}}',  # beyond the end
        b'{"weight":{"dtype":"F32","shape":[4000000000,4000000000],"data_offsets":[0,16]}}',
        b'{"weight":{"dtype":"F32","shape":[2,2],"data_offsets":[16,0]}}',
        b"{" * 5000,  # nested without end
    ],
    ids=["beyond the end", "larger than memory", "backwards", "nested"],
)
def test_a_lying_header_of_weights_is_refused(tmp_path, header):
    path = tmp_path / "w.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(16))
    with pytest.raises(WarplineError, match="cannot be read"):
        load_weights(path, nn.Linear(2, 2))


def test_a_header_longer_than_the_file_is_refused(tmp_path):
    path = tmp_path / "w.safetensors"
    path.write_bytes((1 << 62).to_bytes(8, "little") + b"{}")
    with pytest.raises(WarplineError, match="cannot be read"):
        load_weights(path, nn.Linear(2, 2))


def test_arrays_run_no_code(tmp_path, bomb):
    path = tmp_path / "a.npz"
    np.savez(path, arr_0=np.array([bomb], dtype=object))
    with pytest.raises(ValueError, match="allow_pickle"):
        read_slices(path)
    with pytest.raises(WarplineError, match="not a Learn2Reg submission"):
        read_submission(path, GRID, GRID)
    assert not bomb.place.exists()


# Code that would run what it reads ----------------------------------------------------------------

UNPICKLE = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
SOURCES = [*(ROOT / "src").rglob("*.py"), *(ROOT / "scripts").glob("*.py")]


def calls(tree: ast.AST) -> list[tuple[str, ast.Call]]:
    return [(ast.unparse(n.func), n) for n in ast.walk(tree) if isinstance(n, ast.Call)]


def keyword(call: ast.Call, name: str) -> str | None:
    return next((ast.unparse(k.value) for k in call.keywords if k.arg == name), None)


def risks(source: str) -> list[str]:
    """What in a file would run code that it reads, or hand text to a shell."""
    tree = ast.parse(source)
    found = []
    for node in ast.walk(tree):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        found += [f"imports {name}" for name in names if name.partition(".")[0] in UNPICKLE]
    for name, call in calls(tree):
        last = name.rpartition(".")[2]
        if name in ("eval", "exec", "compile", "__import__", "os.system", "os.popen"):
            found.append(name)
        if name == "torch.load" and keyword(call, "weights_only") != "True":
            found.append(name)
        if name == "np.load" and keyword(call, "allow_pickle") not in (None, "False"):
            found.append(name)
        if last in ("read_pickle", "to_pickle", "unsafe_load", "full_load", "extractall"):
            found.append(name)
        if name == "yaml.load" and keyword(call, "Loader") != "_StrictLoader":
            found.append(name)
        if last == "extract" and keyword(call, "filter") not in ("'data'",):
            found.append(name)
        if keyword(call, "shell") == "True":
            found.append(f"{name} by a shell")
    return found


@pytest.mark.parametrize(
    "line",
    [
        "import pickle",
        "from joblib import load",
        "eval(x)",
        "torch.load(f)",
        "torch.load(f, weights_only=False)",
        "np.load(f, allow_pickle=True)",
        "pd.read_pickle(f)",
        "yaml.load(f, Loader=yaml.Loader)",
        "tar.extractall(f)",
        "tar.extract(m, f)",
        "subprocess.run(c, shell=True)",
    ],
)
def test_a_risk_is_found(line):
    assert len(risks(line)) == 1


def test_no_code_runs_what_it_reads():
    assert len(SOURCES) > 100
    found = {path: risks(path.read_text(encoding="utf-8")) for path in SOURCES}
    assert {path.name: risk for path, risk in found.items() if risk} == {}


def test_rules_hold_no_shell_command():
    for path in [ROOT / "workflow" / "Snakefile", *(ROOT / "workflow").rglob("*.smk")]:
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"^\s*shell:|\b(eval|exec|pickle)\b", text, re.MULTILINE), path.name


def test_the_configuration_is_read_as_plain_values(tmp_path, bomb):
    assert issubclass(_StrictLoader, yaml.constructor.SafeConstructor)
    assert not issubclass(_StrictLoader, yaml.constructor.FullConstructor)
    path = tmp_path / "config.yaml"
    path.write_text(f"a: !!python/object/apply:os.mkdir ['{bomb.place}']\n")
    with pytest.raises(WarplineError, match="not valid YAML"):
        read_yaml(path)
    assert not bomb.place.exists()


# Archives -----------------------------------------------------------------------------------------


def tar(path: Path, *members: tuple[str, bytes, str]) -> Path:
    """A tar of members of a name, a kind and, for links, a target."""
    with tarfile.open(path, "w") as archive:
        for name, kind, target in members:
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, target
            info.size = 3 if kind == tarfile.REGTYPE else 0
            archive.addfile(info, io.BytesIO(b"abc"))
    return path


def zipped(path: Path, *names: str) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(zipfile.ZipInfo(name), b"abc")
    return path


def refused(archive: Path, match: str) -> None:
    """It is refused with this message, and nothing of it lies anywhere."""
    before = sorted(archive.parent.iterdir())
    with pytest.raises(WarplineError, match=match) as error:
        unpack_archive(archive, archive.parent / "out")
    assert sorted(archive.parent.iterdir()) == before
    assert all(line.isprintable() for line in str(error.value).splitlines())


SYMLINK, HARDLINK, FILE = tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.REGTYPE
CHAINS = {
    "up by two links": [("a", SYMLINK, "."), ("a/b", SYMLINK, ".."), ("a/b/outside", FILE, "")],
    "a link to a link": [("b", SYMLINK, "a"), ("a", SYMLINK, "/etc"), ("b/outside", FILE, "")],
    "a hard link to a link": [("a", SYMLINK, "/etc/passwd"), ("b", HARDLINK, "a")],
    "a file through a hard link": [("a", HARDLINK, "../../secret"), ("a", FILE, "")],
    "a folder that becomes a link": [
        ("a", tarfile.DIRTYPE, ""),
        ("a", SYMLINK, ".."),
        ("a/outside", FILE, ""),
    ],
}


@pytest.mark.parametrize("chain", CHAINS)
def test_chains_of_links_lead_nowhere(tmp_path, chain):
    refused(tar(tmp_path / "evil.tar", *CHAINS[chain]), "holds a (symbolic|hard) link")


def test_a_zip_with_a_link_and_a_file_through_it(tmp_path):
    with zipfile.ZipFile(tmp_path / "evil.zip", "w") as archive:
        link = zipfile.ZipInfo("a")
        link.external_attr = (0o777 | stat.S_IFLNK) << 16
        archive.writestr(link, "..")
        archive.writestr("a/outside", b"abc")
    refused(tmp_path / "evil.zip", "holds a symbolic link, 'a'")


@pytest.mark.parametrize(
    "names",
    [("a", "a/b"), ("a/b", "a"), ("x" * 300,), (".",), ("",), ("d/" * 101 + "a",)],
    ids=["file as folder", "folder as file", "too long", "dot", "empty", "deep"],
)
@pytest.mark.parametrize("kind", ["tar", "zip"])
def test_names_that_no_file_can_have(tmp_path, names, kind):
    path = tmp_path / f"odd.{kind}"
    archive = tar(path, *((n, FILE, "") for n in names)) if kind == "tar" else zipped(path, *names)
    refused(archive, "nothing of it was unpacked")


def test_a_name_cannot_command_the_terminal(tmp_path):
    with pytest.raises(WarplineError, match=r"'\.\./\?\[2J\?'") as error:
        unpack_archive(zipped(tmp_path / "evil.zip", "../\x1b[2J\n"), tmp_path / "out")
    assert "\x1b" not in str(error.value)


HEADERS = {
    "up": ("a.mhd", "ElementDataFile = ../secret.raw\n"),
    "absolute": ("a.mhd", "ElementDataFile = {secret}\n"),
    "pattern": ("a.mhd", "ElementDataFile = ../secret%d.raw 1 5 1\n"),
    "list": ("a.mhd", "ElementDataFile = LIST\nown.raw\n../secret.raw\n"),
    "link": ("a.mhd", "ElementDataFile = link.raw\n"),
    "nrrd": ("a.nhdr", "data file: ../secret.raw\n"),
    "behind a remark": ("a.nhdr", "data file:=own.raw\ndata file: ../secret.raw\n"),
    "behind another key": ("a.mhd", "elementdatafile = own.raw\nElementDataFile = {secret}\n"),
}


@pytest.mark.parametrize("header", HEADERS)
@pytest.mark.parametrize("column", ["image", "labels", "mask"])
def test_voxels_that_an_archive_s_header_takes_from_elsewhere_are_refused(tmp_path, header, column):
    """Else a file of this machine would become an image of the results; own data may do so."""
    root, secret = tmp_path / "archive", tmp_path / "secret.raw"
    root.mkdir()
    secret.write_bytes(b"secret")
    (root / "own.raw").write_bytes(b"public")
    (root / "link.raw").symlink_to(secret)
    name, text = HEADERS[header]
    (root / name).write_text(text.format(secret=secret))
    (root / "own.mhd").write_text("ElementDataFile = own.raw\n")
    row = {"case": "1", "patient": "1", "image": "own.mhd", "labels": "", "mask": ""}
    with pytest.raises(WarplineError, match="leads out of its folder") as error:
        locate_all("folder", root, files_of(), [{**row, column: name}])
    assert error.value.where == root / name
    for own, of in ((False, "own.mhd"), (True, name)):
        found = locate_all("folder", root, files_of(own=own), [{**row, column: of}])
        assert getattr(found["1"], column) == root / of


LISTS = {
    "description": lambda path: read_description(path),
    "table": lambda path: parse_points(path.with_suffix(".csv")),
    "fiducials": lambda path: parse_points(path.with_suffix(".fcsv")),
    "markups": lambda path: parse_points(path.with_suffix(".json")),
    "indices": lambda path: read_indices(path, GRID, "1"),
    "lines": lambda path: read_landmarks(
        CaseFiles(path, landmarks=path, landmarks_in="voxel"), GRID, "1"
    ),
    "subjects": lambda path: locate_all(
        "neurite_oasis", path.parent, files_of(), [{"case": "0001", "image": ""}]
    ),
}


@pytest.mark.parametrize("what", LISTS)
def test_a_list_that_would_fill_the_memory_is_not_read(tmp_path, monkeypatch, what):
    monkeypatch.setattr("warpline.files.LONGEST_TEXT", 100)
    for name in ("subjects.txt", "subjects.csv", "subjects.fcsv", "subjects.json"):
        (tmp_path / name).write_bytes(bytes(101))
    with pytest.raises(WarplineError, match="more than 100 bytes"):
        LISTS[what](tmp_path / "subjects.txt")


def test_a_list_in_a_zip_that_would_fill_the_memory_is_not_read(tmp_path, monkeypatch):
    zipped(tmp_path / "a.zip", "a.txt")
    member = zipfile.Path(zipfile.ZipFile(tmp_path / "a.zip"), "a.txt")
    assert read_list(member) == "abc"
    monkeypatch.setattr("warpline.files.LONGEST_TEXT", 2)
    with pytest.raises(WarplineError, match="more than 2 bytes"):
        read_indices(member, GRID, "1")


@contextmanager
def answering(content: bytes) -> Iterator[str]:
    """A server that answers everything with these bytes; a URL of it."""

    def answer() -> None:
        with suppress(OSError):
            while True:
                connection, _ = listening.accept()
                with connection:
                    connection.recv(10_000)
                    connection.sendall(content)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/a"
        listening.shutdown(socket.SHUT_RDWR)
        thread.join(10)


COMMANDS = "\x1b[2J\x07\x9b1m\r\u202e"
BUSY = f"HTTP/1.0 503 Busy {COMMANDS}\r\n\r\n".encode()
PAGE = f"HTTP/1.0 200 OK\r\nContent-Type: text/html\r\n\r\n<p>Log {COMMANDS}in</p>".encode()
MOVED = b"HTTP/1.0 302 Found\r\nLocation: http://evil.example/\x1b[2J\r\n\r\n"


@pytest.mark.parametrize("content", [BUSY, PAGE, MOVED], ids=["status", "page", "redirect"])
def test_an_answer_cannot_command_the_terminal(tmp_path, content, caplog):
    with answering(content) as url, pytest.raises(WarplineError) as error:
        fetch(Archive("a.bin", (url,)), tmp_path, patience=Patience(attempts=2, backoff=0.01))
    for text in (str(error.value), error.value.what, *caplog.messages):
        assert text.replace("\n", "").isprintable(), text


def test_a_damaged_member_cannot_command_the_terminal(tmp_path):
    path = zipped(tmp_path / "a.zip", "one\x1b[2J")
    path.write_bytes(path.read_bytes().replace(b"abc", b"abd"))
    with serve() as server:
        archive = Archive("a.zip", (server.add("/a", content=path.read_bytes()),))
        with pytest.raises(WarplineError, match=r"damaged at its member 'one\?\[2J'"):
            fetch(archive, tmp_path / "data", progress=False)


def test_messages_are_plain_text_wherever_they_come_from():
    error = WarplineError("a\x1b[2J:\n  b é\u00a0…", where=Path("c\x9b"), do="d\x00")
    assert str(error) == "a?[2J:\n  b é\u00a0…\n  where: c?\n  to do: d?"


def test_what_would_fill_the_disk_is_refused_before(tmp_path, monkeypatch):
    archive = tmp_path / "bomb.tar"
    with tarfile.open(archive, "w:gz") as writer:
        info = tarfile.TarInfo("zeros")
        info.size = 1_000_000
        writer.addfile(info, io.BytesIO(bytes(1_000_000)))
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=999_999))
    refused(archive, "more than the 999999 bytes that are free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1_000_000))
    assert (unpack_archive(archive, tmp_path / "out") / "zeros").stat().st_size == 1_000_000


def test_a_sparse_file_counts_with_all_its_holes(tmp_path, monkeypatch):
    """A tar of a few bytes whose only member claims a terabyte of zeros."""
    name, size = "holes", 1 << 40
    header = tarfile.TarInfo(f"GNUSparseFile.0/{name}")
    header.size = 512
    header.pax_headers = {
        "GNU.sparse.major": "1",
        "GNU.sparse.minor": "0",
        "GNU.sparse.name": name,
        "GNU.sparse.realsize": str(size),
    }
    map_ = b"1\n%d\n0\n" % size
    with tarfile.open(tmp_path / "sparse.tar", "w", format=tarfile.PAX_FORMAT) as archive:
        archive.addfile(header, io.BytesIO(map_.ljust(512, b"\0")))
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=size - 1))
    refused(tmp_path / "sparse.tar", "bytes that are free")


def test_too_many_members(tmp_path, monkeypatch):
    monkeypatch.setattr(unpack, "MOST_MEMBERS", 3)
    refused(zipped(tmp_path / "many.zip", "a", "b", "c", "d"), "more than 3 members")
    unpack_archive(zipped(tmp_path / "few.zip", "a", "b", "c"), tmp_path / "out")


def test_a_list_of_sums_that_would_fill_the_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(verify, "LARGEST_SUMS", 100)
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(verify.MEMBER_SUMS, b"a,b\n" * 1000)
    assert "of more than 100 bytes" in verify.damage(tmp_path / "a.zip", "a.zip")


# Addresses ----------------------------------------------------------------------------------------

REFUSED = [
    "http://127.0.0.1.evil.example/a",
    "http://localhost@evil.example/a",
    "http://localhost:80@evil.example/a",
    "http://evil.example\\@localhost/a",  # urllib reads localhost here, the connection does not
    "http://evil.example/\\@localhost/a",
    "http://evil.example#@localhost/a",
    "http://evil.example?@localhost/a",
    "http://127.0.0.1%2eevil.example/a",
    "http://localhost%00.evil.example/a",
    "http://local\thost.evil.example/a",
    "http://localhost.evil.example/a",
    "http://2130706433.evil.example/a",
    "http://[::2]/a",
    "http://0.0.0.0/a",
    "http://192.168.0.1/a",
    "http:///localhost/a",
    "http:localhost/a",
    " http://localhost/a",
    "ftp://localhost/a",
    "gopher://localhost/a",
    "javascript:alert(1)",
    "https://",
    "//localhost/a",
    "",
]


@pytest.mark.parametrize("url", REFUSED)
def test_refused_addresses(url):
    with pytest.raises(SourceFailed, match="refused"):
        check_url(url)


@pytest.mark.parametrize("url", REFUSED)
def test_what_is_refused_is_never_asked(tmp_path, url, monkeypatch):
    monkeypatch.setattr(
        requests.Session, "send", lambda *_, **__: pytest.fail("a connection was made")
    )
    with pytest.raises(WarplineError, match="No source gives"):
        fetch(Archive("a.zip", (url,)), tmp_path / "data", progress=False)


@pytest.mark.parametrize(
    "url", ["http://[::1]:8080/a", "http://127.0.0.9/a", "http://LOCALHOST/a", "https://a.example/"]
)
def test_what_is_allowed_is_asked_of_the_host_that_was_checked(url, monkeypatch):
    check_url(url)
    asked = requests.Request("GET", url).prepare().url
    assert scheme_and_host(asked) == scheme_and_host(url)


@pytest.mark.parametrize("url", [u for u in REFUSED if u.startswith("http:")])
def test_a_redirect_from_https_never_leaves_it(url):
    for to in (url, "http://localhost/a", "http://[::1]/a", "file:///etc/passwd"):
        with pytest.raises(SourceFailed, match=r"redirects to .* refused"):
            check_url(to, came_from="https://example.org/a")


def test_a_redirect_is_checked_as_the_connection_reads_it(tmp_path):
    with serve() as server:
        source = server.add("/a", location="http://evil.example\\@localhost/a")
        with pytest.raises(WarplineError, match=r"redirects to .* refused"):
            fetch(
                Archive("a.zip", (source,)),
                tmp_path,
                progress=False,
                patience=Patience(backoff=0.01),
            )


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("file://evil.example/etc/passwd", "names the host"),
        ("file://localhost@evil.example/a", "names the host"),
        ("file:///dev/zero", "does not exist"),
        ("FILE:///etc/passwd", "is none of"),
        ("HTTP://localhost/a", "is none of"),
        ("zenodo:1/../../x", "not the number of a record"),
    ],
)
def test_other_sources_that_are_refused(tmp_path, url, reason):
    with pytest.raises(WarplineError, match=reason):
        fetch(Archive("a.zip", (url,)), tmp_path, progress=False)
    assert not (tmp_path / "a.zip").exists()


def test_a_server_that_sends_without_end_is_cut_off(tmp_path):
    """Nothing but the size in the dataset file says when it should have stopped."""

    def send() -> None:
        connection, _ = listening.accept()
        with connection, suppress(OSError):
            connection.recv(10_000)
            connection.sendall(b"HTTP/1.0 200 OK\r\n\r\n")
            while True:
                connection.sendall(bytes(100_000))

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=send, daemon=True)
        thread.start()
        url = f"http://127.0.0.1:{listening.getsockname()[1]}/a"
        with pytest.raises(WarplineError, match="more than the 1000000 bytes"):
            fetch(Archive("a.bin", (url,), size=1_000_000), tmp_path, progress=False)
        thread.join(10)
    assert not thread.is_alive()
    assert all(path.stat().st_size < 2_000_000 for path in tmp_path.iterdir())


# What is pinned -----------------------------------------------------------------------------------

# Whose providers state nothing to compare with, as docs/security.md says.
NOT_PINNED = {
    "https://cloud.imi.uni-luebeck.de/s/32WaSRaTnFk2JeT/download/AbdomenCTCT.zip",
    "tcia:Pancreas-CT",  # with the sums of its files
}
PINNED = re.compile(
    r"zenodo:\d+|folder:.+"  # a record names its checksums
    r"|https://(raw|media)\.githubusercontent\.com/(media/)?[^/]+/[^/]+/[0-9a-f]{40}/.+"
    r"|https://huggingface\.co/datasets/[^/]+/[^/]+/resolve/[0-9a-f]{40}/.+"
)


def fetched_entries(value: object, place: str) -> Iterator[tuple[str, dict]]:
    """All that is fetched, in a file of the configuration."""
    inner = value.items() if isinstance(value, dict) else ()
    inner = enumerate(value) if isinstance(value, list) else inner
    if isinstance(value, dict) and "sources" in value:
        yield place, value
    for key, one in inner:
        yield from fetched_entries(one, f"{place}/{key}")


def test_all_that_is_fetched_is_pinned_or_named_as_not():
    seen = set()
    files = [*ROOT.glob("config/datasets/*.yaml"), *ROOT.glob("config/methods/*.yaml")]
    entries = [one for path in files for one in fetched_entries(read_yaml(path), path.name)]
    assert len(entries) > 35
    for place, entry in entries:
        checksums = entry.get("checksums") or ()
        assert all(re.fullmatch(r"md5:[0-9a-f]{32}|sha256:[0-9a-f]{64}", c) for c in checksums)
        for source in entry["sources"]:
            if not (any(c.startswith("sha256:") for c in checksums) or PINNED.fullmatch(source)):
                assert source in NOT_PINNED, f"{place}: {source}"
                seen.add(source)
    assert seen == NOT_PINNED
    assert PINNED.fullmatch("https://raw.githubusercontent.com/a/b/master/c") is None


def test_a_dataset_s_paths_stay_names():
    for name in ("../a.zip", "/etc/passwd", "a/b", "..", "a\\b"):
        with pytest.raises(WarplineError, match="plain file name"):
            Archive(name, ())


# The page -----------------------------------------------------------------------------------------


def test_every_test_that_the_page_names_checks_something():
    page = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`(test_\w+)`", page))
    checks: dict[str, bool] = {}
    for path in (ROOT / "tests").rglob("test_*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        named.discard(path.stem)  # a file
        for function in tree.body:
            if isinstance(function, ast.FunctionDef) and function.name in named:
                checks[function.name] = any(map(_checks, ast.walk(function)))
    assert len(named) > 10
    assert checks == dict.fromkeys(named, True)


def _checks(node: ast.AST) -> bool:
    """An assertion, ``pytest.raises``, or a call of one of the helpers that assert a refusal."""
    called = node.func if isinstance(node, ast.Call) else None
    name = getattr(called, "id", getattr(called, "attr", ""))
    return isinstance(node, ast.Assert) or name in ("raises", "refused", "refusal")
