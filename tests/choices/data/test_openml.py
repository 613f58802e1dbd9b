"""scikit-learn's real client, with a stand-in for the one thing that a test cannot have: OpenML's server."""

from __future__ import annotations

import email
import hashlib
import io
import json
import urllib.request
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.response import addinfourl

import numpy as np
import pytest
import torch

from vanishgrad.choices.data import CIFAR10, MNIST, FashionMNIST, load
from vanishgrad.choices.data.image_files import fetch
from vanishgrad.errors import SettingError

SHAPE = (1, 2, 3)
PIXELS = np.random.default_rng(0).integers(0, 256, (7, 6), dtype=np.uint8)
LABELS = [3, 1, 4, 1, 5, 9, 2]
API = "https://www.openml.org/api/v1/json/data"
FILE = "https://www.openml.org/data/v1/download/1/tiny.arff"


def feature(index: int, name: str, **changes: object) -> dict[str, object]:
    flags = dict.fromkeys(("is_target", "is_ignore", "is_row_identifier"), "false")
    plain = {"index": str(index), "name": name, "data_type": "numeric", "number_of_missing_values": "0"}
    return plain | flags | changes


def arff(rows: int) -> bytes:
    header = ["@RELATION tiny", *(f"@ATTRIBUTE pixel{n} INTEGER" for n in range(6))]
    lines = [",".join(map(str, [*row, label])) for row, label in zip(PIXELS[:rows], LABELS, strict=False)]
    text = [*header, "@ATTRIBUTE class {0,1,2,3,4,5,6,7,8,9}", "@DATA", *lines]
    return "\n".join(text).encode() + b"\n"


def answers(content: bytes) -> dict[str, bytes]:
    """What OpenML answers to the requests for data set 1, version 1 of the name `tiny`."""
    target = {"data_type": "nominal", "nominal_values": list(map(str, range(10))), "is_target": "true"}
    description = {
        "id": "1", "name": "tiny", "version": "1", "description": "", "format": "ARFF", "status": "active",
        "url": FILE, "md5_checksum": hashlib.md5(content).hexdigest(),
    }  # fmt: skip
    documents = {
        f"{API}/list/data_name/tiny/limit/2/data_version/1": {"data": {"dataset": [{"did": 1}]}},
        f"{API}/1": {"data_set_description": description},
        f"{API}/features/1": {
            "data_features": {
                "feature": [*(feature(n, f"pixel{n}") for n in range(6)), feature(6, "class", **target)]
            }
        },
        f"{API}/qualities/1": {
            "data_qualities": {"quality": [{"name": "NumberOfInstances", "value": str(len(LABELS))}]}
        },
    }
    return {url: json.dumps(document).encode() for url, document in documents.items()} | {FILE: content}


class Server(urllib.request.BaseHandler):
    """Answers https requests from a table and counts them; any other address is unreachable."""

    def __init__(self, pages: dict[str, bytes]) -> None:
        self.pages = pages
        self.requests: list[str] = []

    def https_open(self, request: urllib.request.Request) -> addinfourl:
        self.requests.append(request.full_url)
        if request.full_url not in self.pages:
            raise URLError("Name or service not known")
        body = io.BytesIO(self.pages[request.full_url])
        response = addinfourl(body, email.message_from_string(""), request.full_url, 200)
        response.msg = "OK"  # type: ignore[attr-defined]
        return response


@pytest.fixture
def openml(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Server:
    """The stand-in server, an empty data folder, and no waiting between attempts."""
    server = Server(answers(arff(rows=7)))
    opener = urllib.request.OpenerDirector()
    opener.add_handler(server)
    monkeypatch.setattr(urllib.request, "_opener", opener)
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    monkeypatch.setenv("SCIKIT_LEARN_DATA", str(tmp_path))
    return server


def check(train: Any, test: Any) -> None:
    assert torch.equal(train.x.flatten(1), torch.from_numpy(PIXELS[:5]))
    assert torch.equal(test.x.flatten(1), torch.from_numpy(PIXELS[5:]))
    assert train.x.shape == (5, *SHAPE)
    assert (train.y.tolist(), test.y.tolist()) == (LABELS[:5], LABELS[5:])


def test_the_table_is_parted_into_training_and_test_set(openml: Server) -> None:
    check(*fetch("tiny", SHAPE, train_examples=5))


def test_a_data_set_is_downloaded_and_parsed_once(openml: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    fetch("tiny", SHAPE, train_examples=5)
    assert openml.requests.count(FILE) == 1
    requests = len(openml.requests)
    monkeypatch.setattr("sklearn.datasets.fetch_openml", None)  # the second time needs no parser
    check(*fetch("tiny", SHAPE, train_examples=5))
    assert len(openml.requests) == requests


def test_a_damaged_archive_is_written_anew(openml: Server, tmp_path: Path) -> None:
    fetch("tiny", SHAPE, train_examples=5)
    archive = tmp_path / "vanishgrad" / "tiny.npz"
    archive.write_bytes(archive.read_bytes()[:100])
    check(*fetch("tiny", SHAPE, train_examples=5))
    assert [path.name for path in archive.parent.iterdir()] == ["tiny.npz"]
    assert len(archive.read_bytes()) > 100


@pytest.mark.parametrize(
    ("data", "dataset"),
    [(MNIST(), "mnist_784"), (FashionMNIST(), "Fashion-MNIST"), (CIFAR10(), "CIFAR_10")],
)
def test_without_a_network_the_message_names_the_failure_and_the_way_out(
    openml: Server, data: Any, dataset: str
) -> None:
    with pytest.raises(SettingError) as error:
        load(data)
    assert str(error.value) == (
        f"data.root=null: downloading {dataset} from OpenML failed (URLError: <urlopen error Name or "
        "service not known>); with the standard files at hand, pass data.root=FOLDER"
    )
    assert set(openml.requests) == {f"{API}/list/data_name/{dataset.lower()}/limit/2/data_version/1"}


def test_a_download_that_differs_from_its_checksum_is_refused(openml: Server, tmp_path: Path) -> None:
    openml.pages[FILE] = arff(rows=6)
    with pytest.raises(SettingError, match=r"downloading tiny from OpenML failed .*md5 checksum"):
        fetch("tiny", SHAPE, train_examples=5)
    assert not (tmp_path / "vanishgrad").exists()


@pytest.mark.parametrize(
    ("shape", "train_examples", "rule"),
    [
        (SHAPE, 7, "OpenML's tiny: 7 rows, must be more than the 7 training examples"),
        ((1, 2, 2), 5, "OpenML's tiny: 6 values per image, must be 4"),
    ],
)
def test_a_table_of_another_size_is_refused(
    openml: Server, shape: tuple[int, ...], train_examples: int, rule: str
) -> None:
    with pytest.raises(SettingError) as error:
        fetch("tiny", shape, train_examples)
    assert str(error.value) == rule


def test_published_sizes_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[Any, ...]] = []

    def refuse(dataset: str, shape: tuple[int, ...], train_examples: int) -> None:
        asked.append((dataset, shape, train_examples))
        raise SettingError("stop")

    monkeypatch.setattr("vanishgrad.choices.data.images.fetch", refuse)
    for data in (MNIST(), FashionMNIST(), CIFAR10()):
        with pytest.raises(SettingError, match="stop"):
            load(data)
    assert asked == [
        ("mnist_784", (1, 28, 28), 60_000),
        ("Fashion-MNIST", (1, 28, 28), 60_000),
        ("CIFAR_10", (3, 32, 32), 50_000),
    ]
