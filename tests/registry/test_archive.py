import hashlib
import io
import json
import tarfile

import pytest

from diffrec_cli import registry
from diffrec_cli.errors import (
    CorruptError,
    DataError,
    NewerSchemaError,
    NotFoundError,
    UsageError,
)

from . import samples


def references():
    return [model.reference for model in registry.list_models()]


@pytest.fixture
def exported(tmp_path):
    samples.store()
    return registry.export("ml", tmp_path / "ml.tar")


def members(path):
    """Return (header, content) of every member."""
    with tarfile.open(path) as tar:
        return [(m, tar.extractfile(m).read()) for m in tar]


def write(path, parts, **options):
    with tarfile.open(path, "w", **options) as tar:
        for header, content in parts:
            tar.addfile(header, io.BytesIO(content))
    return path


def member(name, content=b"", **fields):
    header = tarfile.TarInfo(name)
    header.size = len(content)
    for field, value in fields.items():
        setattr(header, field, value)
    return header, content


def with_record(exported, change):
    """Rewrite an export with a changed record."""
    (header, content), *rest = members(exported)
    values = json.loads(content)
    change(values)
    return write(exported, [member(header.name, json.dumps(values).encode()), *rest])


def assert_rejected(home, path, match=None, error=DataError):
    before = sorted(home.rglob("*"))
    with pytest.raises(error, match=match) as caught:
        registry.import_(path, "evil")
    assert caught.value.exit_code == (3 if error is DataError else 6)
    assert path.name in caught.value.what
    assert ".incoming-" not in caught.value.what
    assert sorted(home.rglob("*")) == before


class TestExport:
    def test_an_import_brings_back_the_same_model(self, exported, tmp_path, monkeypatch):
        original = registry.resolve("ml")
        monkeypatch.setenv("DIFFREC_HOME", str(tmp_path / "another"))
        artifact = registry.import_(exported)
        assert artifact.record == original.record
        assert artifact.weights().keys() == original.weights().keys()
        assert registry.verify("ml@1").sound

    def test_it_is_a_plain_tar_with_the_record_first_and_nothing_personal(self, exported):
        headers = [header for header, _ in members(exported)]
        assert headers[0].name == "model.json"
        assert sorted(h.name for h in headers[1:]) == sorted(registry.resolve("ml").record.files)
        assert {(h.uid, h.gid, h.uname, h.gname, h.mtime) for h in headers} == {(0, 0, "", "", 0)}

    def test_the_same_model_gives_the_same_bytes(self, exported, tmp_path):
        again = registry.export("ml@1", tmp_path / "again.tar")
        assert again.read_bytes() == exported.read_bytes()

    def test_into_a_directory_it_is_named_after_the_model(self, exported, tmp_path):
        assert registry.export(None, tmp_path) == tmp_path / "ml-1.tar"
        assert (tmp_path / "ml-1.tar").is_file()

    def test_it_carries_the_present_name(self, tmp_path):
        samples.store("old")
        registry.rename("old", "new")
        assert registry.import_(registry.export("new", tmp_path)).record.reference == "new@2"

    def test_an_existing_file_is_only_replaced_on_request(self, exported):
        exported.write_text("my thesis")
        with pytest.raises(UsageError, match="exists"):
            registry.export("ml", exported)
        assert exported.read_text() == "my thesis"
        registry.export("ml", exported, overwrite=True)
        assert tarfile.is_tarfile(exported)

    def test_a_damaged_model_is_not_exported(self, tmp_path):
        path = samples.store().path / "weights.safetensors"
        path.write_bytes(path.read_bytes()[:-1] + b"x")
        with pytest.raises(CorruptError):
            registry.export("ml", tmp_path / "ml.tar")
        assert not list(tmp_path.glob("*.tar"))

    def test_a_directory_that_is_not_there_is_a_usage_error(self, exported, tmp_path):
        with pytest.raises(UsageError, match="no such directory"):
            registry.export("ml", tmp_path / "no/such/directory.tar")

    def test_an_unknown_model_is_not_found(self, tmp_path):
        with pytest.raises(NotFoundError):
            registry.export("nothing", tmp_path / "x.tar")


class TestImport:
    def test_it_takes_the_next_version_and_leaves_the_default(self, exported):
        samples.store("mine")
        assert registry.import_(exported).record.reference == "ml@2"
        assert registry.import_(exported, "other").record.reference == "other@1"
        assert registry.resolve(None).record.reference == "mine@1"

    def test_an_impossible_name_or_a_missing_file_is_a_usage_error(self, exported, tmp_path):
        for name in ("a/b", "default.json", "a@1"):
            with pytest.raises(UsageError):
                registry.import_(exported, name)
        for path in (tmp_path / "none.tar", tmp_path):
            with pytest.raises(UsageError, match="no such file"):
                registry.import_(path)
        assert references() == ["ml@1"]

    @pytest.mark.parametrize("content", [b"", b"user,item\n1,2\n" * 100, bytes(10240)])
    def test_a_foreign_file_is_bad_data(self, home, tmp_path, content):
        samples.store()
        path = tmp_path / "foreign.tar"
        path.write_bytes(content)
        assert_rejected(home, path)

    def test_a_compressed_archive_is_bad_data(self, home, exported):
        with tarfile.open(exported.with_name("x.tar.gz"), "w:gz") as tar:
            tar.add(exported, "model.json")
        assert_rejected(home, exported.with_name("x.tar.gz"))

    def test_an_archive_truncated_anywhere_is_bad_data(self, home, exported):
        content = exported.read_bytes()
        end = max(h.offset_data + h.size for h, _ in members(exported))
        for size in [*range(0, end, 997), end - 1]:
            exported.write_bytes(content[:size])
            assert_rejected(home, exported)

    def test_a_flipped_byte_in_any_file_is_bad_data(self, home, exported):
        content = exported.read_bytes()
        for header, _ in members(exported)[1:]:
            damaged = bytearray(content)
            damaged[header.offset_data] ^= 1
            exported.write_bytes(damaged)
            assert_rejected(home, exported, header.name)

    @pytest.mark.parametrize(
        "extra",
        [
            member("../../escaped", b"x"),
            member("/tmp/diffrec-escaped", b"x"),
            member("extra", b"x"),
            member("weights.safetensors", b"x"),
            member("model.json", b"x"),
            member("link", type=tarfile.SYMTYPE, linkname="/etc/passwd"),
            member("directory", type=tarfile.DIRTYPE),
            member("device", type=tarfile.CHRTYPE),
        ],
        ids=lambda part: part[0].name,
    )
    def test_a_member_that_the_record_does_not_list_is_bad_data(self, home, exported, extra):
        assert_rejected(home, write(exported, [*members(exported), extra]))
        assert not (home.parent / "escaped").exists()

    @pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE])
    def test_a_listed_name_that_is_no_plain_file_is_bad_data(self, home, exported, kind):
        def forget_size(values):
            values["files"]["epochs.jsonl"]["bytes"] = 0

        parts = [
            member(h.name, type=kind, linkname="/etc/passwd")
            if h.name == "epochs.jsonl"
            else (h, c)
            for h, c in members(with_record(exported, forget_size))
        ]
        assert_rejected(home, write(exported, parts), "not a plain file")

    def test_a_sparse_file_larger_than_the_archive_is_bad_data(self, home, exported):
        huge = 2**40

        def claim(values):
            values["files"]["epochs.jsonl"]["bytes"] = huge

        sparse = {
            "GNU.sparse.major": "0",
            "GNU.sparse.minor": "1",
            "GNU.sparse.size": str(huge),
            "GNU.sparse.map": "0,1",
        }
        parts = [
            member(h.name, b"x", pax_headers=sparse) if h.name == "epochs.jsonl" else (h, c)
            for h, c in members(with_record(exported, claim))
        ]
        assert_rejected(home, write(exported, parts, format=tarfile.PAX_FORMAT), "plain file")

    def test_a_size_other_than_the_recorded_one_is_bad_data(self, home, exported):
        def shrink(values):
            values["files"]["weights.safetensors"]["bytes"] -= 1

        assert_rejected(home, with_record(exported, shrink), r"weights\.safetensors")

    def test_a_listed_file_that_is_missing_is_bad_data(self, home, exported):
        assert_rejected(home, write(exported, members(exported)[:-1]), "is missing")

    def test_a_record_that_is_not_first_is_bad_data(self, home, exported):
        parts = members(exported)
        assert_rejected(home, write(exported, [*parts[1:], parts[0]]), "does not begin")

    def test_a_record_of_absurd_size_is_bad_data(self, home, exported):
        parts = [member("model.json", b" " * (2**22 + 1)), *members(exported)[1:]]
        assert_rejected(home, write(exported, parts), "does not begin")

    @pytest.mark.parametrize(
        "record", [b"{", b"[" * 100_000, b'{"kind": "dataset", "schema_version": 1}', b"\xff"]
    )
    def test_a_foreign_record_is_bad_data(self, home, exported, record):
        path = write(exported, [member("model.json", record), *members(exported)[1:]])
        assert_rejected(home, path)

    def test_a_record_whose_paths_lead_outside_is_bad_data(self, home, exported):
        def escape(values):
            values["files"]["../../escaped"] = values["files"].pop("epochs.jsonl")

        assert_rejected(home, with_record(exported, escape), "cannot be a file of a model")

    def test_a_file_below_another_file_is_bad_data(self, home, exported):
        def nest(values):
            values["files"]["epochs.jsonl/x"] = {"sha256": "0" * 64, "bytes": 1}

        parts = [*members(with_record(exported, nest)), member("epochs.jsonl/x", b"x")]
        assert_rejected(home, write(exported, parts))

    @pytest.mark.parametrize(
        ("key", "value"), [("seconds", "x"), ("stopped", []), ("warm_start", {"model": 5})]
    )
    def test_facts_of_training_of_a_wrong_type_are_bad_data(self, home, exported, key, value):
        path = with_record(exported, lambda values: values["training"].update({key: value}))
        assert_rejected(home, path, f"training: {key}")

    @pytest.mark.parametrize("source", [{"updates": [{}]}, {"files": [1]}, {"read": "abc"}])
    def test_a_dataset_with_a_source_of_a_wrong_shape_is_bad_data(self, home, exported, source):
        parts = {header.name: (header, content) for header, content in members(exported)}
        name = "data/dataset.json"
        record = json.dumps({**json.loads(parts[name][1]), "source": source}).encode()
        parts[name] = member(name, record)
        model = json.loads(parts["model.json"][1])
        model["files"][name] = {
            "sha256": hashlib.sha256(record).hexdigest(),
            "bytes": len(record),
        }
        parts["model.json"] = member("model.json", json.dumps(model).encode())
        assert_rejected(home, write(exported, parts.values()), "source")

    def test_a_newer_schema_says_so(self, home, exported):
        path = with_record(exported, lambda values: values.update(schema_version=2))
        assert_rejected(home, path, "schema version 2", NewerSchemaError)

    def test_weights_that_match_their_hash_but_cannot_be_loaded_are_bad_data(self, home, exported):
        pickled = b"\x80\x04K\x01."

        def relist(values):
            values["files"]["weights.safetensors"] = {
                "sha256": hashlib.sha256(pickled).hexdigest(),
                "bytes": len(pickled),
            }

        parts = [
            member(h.name, pickled) if h.name == "weights.safetensors" else (h, c)
            for h, c in members(with_record(exported, relist))
        ]
        assert_rejected(home, write(exported, parts), r"weights\.safetensors")
