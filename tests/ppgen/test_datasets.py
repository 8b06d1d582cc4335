"""Data sets against their published figures, and files of every kind against what was written to them."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.datasets import load_digits

from ppgen import datasets
from ppgen.datasets._reading import Contents, in_sequences
from ppgen.errors import DataError, NameNotFoundError


def test_every_data_set_says_what_it_is() -> None:
    names = datasets.available()
    assert {"old-faithful", "crabs-1894", "galaxies"} <= set(names)
    for name, line in names.items():
        data = datasets.load(name)
        assert data.name == name
        assert data.description == line
        assert line
        assert "\n" not in line
        assert data.source
        assert data.licence
        for x in [data.x] if isinstance(data.x, torch.Tensor) else []:
            assert x.dtype == torch.float64
            assert not x.isinf().any()
            assert len(data.columns) == (1 if x.dim() == 1 else x.shape[1] if x.dim() == 2 else 0)
        assert set(data.states) <= set(data.columns)


def test_old_faithful() -> None:
    """Means, standard deviations and correlation as R's summary(faithful) and cor(faithful) have them."""
    data = datasets.load("old-faithful")
    assert data.columns == ("eruptions", "waiting")
    assert data.x.shape == (272, 2)
    assert data.x.mean(0).tolist() == pytest.approx([3.487783, 70.897059], abs=1e-6)
    assert data.x.std(0).tolist() == pytest.approx([1.141371, 13.594974], abs=1e-6)
    assert torch.corrcoef(data.x.T)[0, 1].item() == pytest.approx(0.9008112, abs=1e-7)


def test_galaxies() -> None:
    """One normal has log-likelihood -240.338 on velocities in 1000 km/s with 26.690 as the 78th."""
    x = datasets.load("galaxies").x
    assert x.shape == (82,)
    assert x[77] == 26.690
    normal = torch.distributions.Normal(x.mean(), x.std(correction=0))
    assert normal.log_prob(x).sum().item() == pytest.approx(-240.338, abs=1e-3)


def test_crabs_are_midpoints_as_often_as_they_were_counted() -> None:
    """Grouped into Pearson's 29 classes, the first and the last open, one normal reaches log-likelihood -2979.059."""
    x = datasets.load("crabs-1894").x
    assert x.shape == (1000,)
    where = (x - 0.5815) / 0.004
    torch.testing.assert_close(where, where.round(), rtol=0.0, atol=1e-9)
    counts = torch.bincount(where.round().long())
    assert (len(counts), counts[0], counts.max(), counts[-1]) == (29, 1, 96, 1)
    right_ends = 0.5835 + 0.004 * torch.arange(28, dtype=torch.float64)
    below = torch.distributions.Normal(0.64470, 0.01905).cdf(right_ends)
    classes = torch.cat([below, below.new_ones(1)]) - torch.cat([below.new_zeros(1), below])
    assert (counts * classes.log()).sum().item() == pytest.approx(-2979.059, abs=2e-3)


def test_fathers_and_tosses() -> None:
    """205 families, as Hanley counted them; 5,067 heads in 10,000 tosses, as Kerrich did."""
    assert datasets.load("galton-fathers").x.shape == (205,)
    assert datasets.load("galton-fathers").x.mean().item() == pytest.approx(69.316, abs=1e-3)
    tosses = datasets.load("kerrich-coin").x
    assert (len(tosses), int(tosses.sum())) == (10_000, 5067)


def test_digits() -> None:
    """As scikit-learn has them."""
    data = datasets.load("digits")
    theirs = load_digits()
    assert data.x.shape == (1797, 1, 8, 8)
    np.testing.assert_array_equal(data.x[:, 0], theirs.images)
    assert data.labels is not None
    np.testing.assert_array_equal(data.labels, theirs.target)


# Files


def test_a_csv_with_a_header(tmp_path: Path) -> None:
    file = tmp_path / "my.csv"
    file.write_bytes(b'\xef\xbb\xbf"depth, m",Na\r\n1.5,20\r\n\r\n-2e3,\r\nNA,nan\r\n')
    data = datasets.load(file)
    assert (data.name, data.source, data.columns) == ("my.csv", str(file), ("depth, m", "Na"))
    np.testing.assert_array_equal(data.x, [[1.5, 20.0], [-2000.0, np.nan], [np.nan, np.nan]])


def test_a_csv_without_a_header(tmp_path: Path) -> None:
    (tmp_path / "my.csv").write_text("1,2\n3,4\n")
    data = datasets.load(str(tmp_path / "my.csv"))
    assert data.columns == ()
    assert data.x.tolist() == [[1.0, 2.0], [3.0, 4.0]]


def test_a_single_column_has_one_dimension(tmp_path: Path) -> None:
    (tmp_path / "named.csv").write_text("depth\n1\n2\n")
    (tmp_path / "bare.csv").write_text("NA\n1\n2\n")
    np.save(tmp_path / "column.npy", np.ones((3, 1), dtype=np.int32))
    assert datasets.load(tmp_path / "named.csv").x.tolist() == [1.0, 2.0]
    assert datasets.load(tmp_path / "named.csv").columns == ("depth",)
    assert datasets.load(tmp_path / "bare.csv").x.shape == (3,)
    assert datasets.load(tmp_path / "column.npy").x.shape == (3,)


@given(st.lists(st.lists(st.floats(), min_size=2, max_size=2), min_size=1, max_size=5))
def test_a_csv_gives_back_every_float_to_the_bit(tmp_path_factory: pytest.TempPathFactory, rows: list[list[float]]) -> None:
    file = tmp_path_factory.mktemp("csv") / "x.csv"
    file.write_text("a,b\n" + "".join(f"{a!r},{b!r}\n" for a, b in rows))
    np.testing.assert_array_equal(datasets.load(file).x, rows)


@pytest.mark.parametrize("dtype", ["float32", "float64", "int16", "uint8", "bool"])
def test_arrays_become_float64(tmp_path: Path, dtype: str) -> None:
    values = np.arange(24).reshape(2, 3, 4).astype(dtype)
    np.save(tmp_path / "x.npy", np.asfortranarray(values))
    np.savez(tmp_path / "only.npz", anything=values)
    np.savez_compressed(tmp_path / "named.npz", x=values, y=np.zeros(2))
    for name in ("x.npy", "only.npz", "named.npz"):
        x = datasets.load(tmp_path / name).x
        assert x.dtype == torch.float64
        np.testing.assert_array_equal(x, values)


def test_parquet(tmp_path: Path) -> None:
    pd.DataFrame({"n": pd.array([1, None], dtype="Int64"), "depth": [1.5, 2.5]}).to_parquet(tmp_path / "my.parquet")
    data = datasets.load(tmp_path / "my.parquet")
    assert data.columns == ("n", "depth")
    np.testing.assert_array_equal(data.x, [[1.0, 1.5], [np.nan, 2.5]])
    pd.DataFrame({"depth": [1.5], "kind": ["deep"]}).to_parquet(tmp_path / "text.parquet")
    with pytest.raises(DataError, match=r"text.parquet, column kind: .*not numbers"):
        datasets.load(tmp_path / "text.parquet")


def test_parquet_without_pyarrow_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my.parquet").write_bytes(b"PAR1")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setattr(pd, "read_parquet", lambda path: __import__("pyarrow"))
    with pytest.raises(DataError, match=r"pip install 'ppgen\[parquet\]'"):
        datasets.load(tmp_path / "my.parquet")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"my.csv is empty"),
        ("\n\n", r"my.csv is empty"),
        ("depth\n", r"my.csv holds no rows"),
        ("depth,n\n1.5,2\n2.5,deep\n", r"my.csv, line 3, column n: 'deep' is not a number"),
        ("1.5,2\n2.5,deep\n", r"my.csv, line 2, column 2: 'deep' is not a number"),
        ("1.5,deep\n2.5,3\n", r"my.csv, line 1, column 2: 'deep' is not a number"),
        ('"a\nb",n\n1,2\n1,x\n', r"my.csv, line 4, column n: 'x'"),
        ("a,b\n1,2\n3\n", r"my.csv, line 3: 2 values were expected, one for each column, and 1 came"),
        ("a,b\n1,2\n3,4,5\n", r"my.csv, line 3: 2 values .* and 3 came"),
        (",a\n1,2\n", r"my.csv: the header has no name for column 1"),
        ("1;2\n3;4\n", r"'3;4' is not a number"),
    ],
)
def test_a_bad_csv_is_named_by_file_row_and_column(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "my.csv").write_text(text)
    with pytest.raises(DataError, match=message):
        datasets.load(tmp_path / "my.csv")


def test_bad_files_are_told_in_one_line(tmp_path: Path) -> None:
    np.save(tmp_path / "text.npy", np.array(["a", "b"]))
    np.save(tmp_path / "complex.npy", np.ones(3) * 1j)
    np.save(tmp_path / "objects.npy", np.array([1.0, None]), allow_pickle=True)
    np.save(tmp_path / "scalar.npy", np.array(1.0))
    np.save(tmp_path / "nothing.npy", np.ones((0, 2)))
    np.savez(tmp_path / "two.npz", a=np.ones(2), b=np.ones(2))
    np.savez(tmp_path / "objects.npz", x=np.array([{}]))
    for name in ("empty.npy", "empty.npz"):
        (tmp_path / name).touch()
    (tmp_path / "garbage.npz").write_bytes(b"PK\x03\x04 no archive")
    (tmp_path / "garbage.npy").write_bytes(b"garbage")
    (tmp_path / "binary.csv").write_bytes(b"a,b\n\xff\xfe,1\n")
    (tmp_path / "notes.txt").write_text("1\n")
    for file in sorted(tmp_path.iterdir()):
        with pytest.raises(DataError, match=file.name) as caught:
            datasets.load(file)
        assert "\n" not in str(caught.value)
    with pytest.raises(DataError, match=r"holds the arrays a, b; name the one to be read x"):
        datasets.load(tmp_path / "two.npz")


def test_a_column_of_words_is_one_of_states(tmp_path: Path) -> None:
    (tmp_path / "my.csv").write_text("kind,depth\ndeep,9.5\n,2\nshallow,\n deep ,8\n")
    data = datasets.load(tmp_path / "my.csv")
    assert data.states == {"kind": ("deep", "shallow")}
    np.testing.assert_array_equal(data.x, [[0, 9.5], [np.nan, 2], [1, np.nan], [0, 8]])
    np.testing.assert_array_equal(data.table["depth"], [9.5, 2, np.nan, 8])
    with pytest.raises(DataError, match="no table with named columns"):
        _ = datasets.Dataset("bare", torch.ones(2, 2)).table


def test_an_archive_with_lengths_or_a_mask_is_a_dict(tmp_path: Path) -> None:
    np.savez(tmp_path / "my.npz", x=np.arange(6).reshape(2, 3), lengths=np.array([3, 2]), mask=np.ones((2, 3)))
    x = datasets.load(tmp_path / "my.npz").x
    assert {n: v.dtype for n, v in x.items()} == {"x": torch.float64, "lengths": torch.int64, "mask": torch.bool}
    assert datasets.load(tmp_path / "my.npz").size == 2


def test_labels_beside_an_array(tmp_path: Path) -> None:
    np.savez(tmp_path / "my.npz", x=np.zeros((3, 2, 2)), labels=np.array([7, 0, 9], dtype=np.uint8))
    data = datasets.load(tmp_path / "my.npz")
    assert data.x.shape == (3, 2, 2)
    assert data.labels is not None
    assert data.labels.dtype == torch.int64
    assert data.labels.tolist() == [7, 0, 9]


def test_rows_of_sequences_are_padded() -> None:
    rows = torch.tensor([[1.0, 10], [1, 11], [2, 20], [1, 12]])
    found = in_sequences(Contents(rows, ("walk", "step")), "walk")
    assert found.columns == ("step",)
    assert found.x["lengths"].tolist() == [3, 1]
    assert found.x["x"].tolist() == [[10, 11, 12], [20, 0, 0]]


def test_a_graph(tmp_path: Path) -> None:
    (tmp_path / "my.gml").write_text('graph [ node [ id 0 label "a" ] node [ id 1 label "b" ] edge [ source 0 target 1 ] ]')
    data = datasets.load(tmp_path / "my.gml")
    assert list(data.x.edges) == [("a", "b")]
    assert data.size == 2
    (tmp_path / "bad.gml").write_text("graph [ node")
    with pytest.raises(DataError, match=r"bad.gml is no graph in GML"):
        datasets.load(tmp_path / "bad.gml")


def test_what_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("none.csv", "folder/none", str(tmp_path / "none.npz")):
        with pytest.raises(NameNotFoundError, match="there is no file"):
            datasets.load(name)
    with pytest.raises(NameNotFoundError, match=r"no data set 'old-faithfull'; did you mean 'old-faithful'"):
        datasets.load("old-faithfull")
    with pytest.raises(NameNotFoundError, match="no data set ''"):
        datasets.load("")


def test_a_name_is_not_shadowed_by_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("galaxies").write_text("1\n")
    assert len(datasets.load("galaxies").x) == 82


def test_importing_is_light() -> None:
    """`ppgen list` and `--help` name data sets without loading torch or pandas."""
    code = "import sys; from ppgen import datasets; datasets.available(); print(sorted(set(sys.modules) & {'torch', 'numpy', 'pandas'}))"
    shown = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=Path(datasets.__file__).parents[2])
    assert shown.stdout.strip() == "[]"
