"""A configuration is refused whole, with everything that is wrong with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from config.load import ConfigError, json_schema, known_keys, load, redacted, reference, with_value
from config.settings import Settings

REFERENCE = Path(__file__).parents[2] / "config" / "reference.toml"


def written(folder: Path, text: str) -> Path:
    path = folder / "frameroom.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_every_error_at_once_with_its_line(tmp_path: Path) -> None:
    path = written(tmp_path, '[ssh]\nport = 99999\nprot = 1\n[mail]\ntls = "maybe"\npassword = "hunter2"\n[sssh]\n')
    with pytest.raises(ConfigError) as caught:
        load(path, {"FRAMEROOM_MAIL__PASSWORD": "x", "FRAMEROOM_SSH__POTR": "1"})
    words = [str(problem) for problem in caught.value.problems]
    assert any(w.startswith("line 2, ssh.port:") and "65535" in w for w in words)
    assert any(w.startswith("line 3, ssh.prot:") and "did you mean ssh.port?" in w for w in words)
    assert any(w.startswith("line 5, mail.tls:") for w in words)
    assert any(w.startswith("line 6, mail.password:") and "file:" in w for w in words)
    assert any(w.startswith("line 7, sssh:") and "did you mean ssh?" in w for w in words)
    assert any("never comes from the environment" in w for w in words)
    assert any("FRAMEROOM_SSH__POTR" in w and "did you mean ssh.port?" in w for w in words)
    assert not any("hunter2" in w for w in words)


def test_environment_overrides_what_is_no_secret(tmp_path: Path) -> None:
    settings = load(written(tmp_path, "[ssh]\nport = 22\n"), {"FRAMEROOM_SSH__PORT": "2200", "HOME": "/"})
    assert settings.ssh.port == 2200


def test_secrets_come_from_files_that_others_cannot_read(tmp_path: Path) -> None:
    secret = tmp_path / "smtp"
    secret.write_text("hunter2\n")
    path = written(tmp_path, '[mail]\npassword = "file:smtp"\n')
    secret.chmod(0o644)
    with pytest.raises(ConfigError, match="chmod 600"):
        load(path, {})
    secret.chmod(0o600)
    settings = load(path, {})
    assert settings.mail.password == "hunter2"
    assert "hunter2" not in str(redacted(settings))


@pytest.mark.parametrize("text", ["[ssh", "\x00", "a = 1979-13-01"])
def test_what_is_not_toml_is_said_so(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError, match="is not TOML"):
        load(written(tmp_path, text), {})


def test_a_missing_file_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="frameroom init"):
        load(tmp_path / "none.toml", {})


def test_the_reference_documents_every_setting(tmp_path: Path) -> None:
    assert REFERENCE.read_text(encoding="utf-8") == reference()
    assert all(words for words in known_keys().values())
    settings = load(written(tmp_path, reference()), {})
    assert settings.model_dump(exclude={"storage"}) == Settings().model_dump(exclude={"storage"})


def test_a_list_from_the_environment_is_separated_by_commas(tmp_path: Path) -> None:
    settings = load(written(tmp_path, ""), {"FRAMEROOM_DEPLOYMENT__COMPANY_DOMAINS": "a.example, b.example"})
    assert settings.deployment.company_domains == ("a.example", "b.example")


def test_a_section_that_is_none_is_a_problem_and_no_traceback(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"line 1, mail: is a section: write \[mail\]"):
        load(written(tmp_path, "mail = 3\n"), {"FRAMEROOM_MAIL__PORT": "25"})


@pytest.mark.parametrize("reference", ["file:none", "file:\\u0000", "file:.", "file:latin1"])
def test_a_secret_that_cannot_be_read_is_a_problem(tmp_path: Path, reference: str) -> None:
    (tmp_path / "latin1").write_bytes(b"\xff\xfe")
    (tmp_path / "latin1").chmod(0o600)
    with pytest.raises(ConfigError, match=r"line 2, mail.password"):
        load(written(tmp_path, f'[mail]\npassword = "{reference}"\n'), {})


def test_mail_in_the_clear_never_leaves_the_machine(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="on this machine"):
        load(written(tmp_path, '[mail]\nhost = "mail.example"\ntls = "none"\n'), {})
    assert load(written(tmp_path, '[mail]\nhost = "127.0.0.1"\ntls = "none"\n'), {}).mail.tls == "none"


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://app:hunter2@db.example/frameroom",
        "postgresql://app:x@hunter2@db.example/frameroom",
        "postgresql://app@db.example/frameroom?password=hunter2&sslmode=require",
        "postgresql://:hunter2@db.example/f",
    ],
)
def test_a_password_in_the_database_url_is_not_shown(tmp_path: Path, url: str) -> None:
    settings = load(written(tmp_path, f'[storage]\ndatabase_url = "{url}"\n'), {})
    assert settings.storage.database_url == url
    assert "hunter2" not in str(redacted(settings)) + repr(settings) + str(settings)
    assert "db.example" in str(redacted(settings))


def test_receivers_of_the_log_are_tables_of_their_own_each_with_its_lines(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("")
    fine = '[[streams.receivers]]\nname = "a"\nhost = "a.example"\nca_file = "ca.pem"\n'
    settings = load(written(tmp_path, fine + "[ssh]\nport = 22\n"), {})
    assert settings.streams.receivers[0].ca_file == tmp_path / "ca.pem"
    assert settings.ssh.port == 22
    wrong = '[[streams.receivers]]\nname = "a"\nhots = "b"\nport = 70000\npin = "md5:AB"\nkey = "none"\n'
    with pytest.raises(ConfigError) as caught:
        load(written(tmp_path, fine + wrong), {"FRAMEROOM_STREAMS__RECEIVERS__PORT": "1"})
    words = [str(problem) for problem in caught.value.problems]
    assert any(
        w.startswith("line 7, streams.receivers.hots:") and "did you mean streams.receivers.host" in w for w in words
    )
    assert any(w.startswith("line 8, streams.receivers.port:") and "for example port = 6514" in w for w in words)
    assert any(w.startswith("line 9, streams.receivers.pin:") and "sha-256:AB" in w for w in words)
    assert any("streams.receivers.host:" in w and "siem.company.example" in w for w in words)
    assert any("FRAMEROOM_STREAMS__RECEIVERS__PORT: no such setting" in w for w in words)
    for text, told in ((fine + fine, "same name"), (fine + 'key = "ca.pem"\n', "go together"),
                       (fine + 'certificate = "none"\nkey = "ca.pem"\n', "cannot be read"),
                       ("[streams]\nreceivers = 3\n", "streams.receivers")):  # fmt: skip
        with pytest.raises(ConfigError, match=told):
            load(written(tmp_path, text), {})
    (tmp_path / "ca.pem").chmod(0o644)
    with pytest.raises(ConfigError, match="chmod 600"):
        load(written(tmp_path, fine + 'certificate = "ca.pem"\nkey = "ca.pem"\n'), {})


def test_the_schema_names_every_setting() -> None:
    sections = json_schema()["$defs"]
    assert {key for section in sections.values() for key in section["properties"]} == {
        key.rpartition(".")[2] for key in known_keys()
    }


def test_every_problem_shows_how_it_is_written(tmp_path: Path) -> None:
    path = written(tmp_path, '[ssh]\nport = 99999\n[portal]\nurl = 7\n[mail]\npassword = "hunter2"\n')
    with pytest.raises(ConfigError) as caught:
        load(path, {})
    words = "\n".join(str(problem) for problem in caught.value.problems)
    for example in ("port = 2222", 'url = "https://', 'password = "file:'):
        assert f"for example {example}" in words
    assert "hunter2" not in words


def test_a_dotted_key_has_its_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"line 2, ssh.prot: no such setting; did you mean ssh.port\?"):
        load(written(tmp_path, "# mine\nssh.prot = 22\n"), {})


def test_the_databases_url_may_stand_in_a_file_of_its_own(tmp_path: Path) -> None:
    url = "postgresql://app:hunter2@db.example/frameroom"
    secret = tmp_path / "url"
    secret.write_text(url + "\n")
    secret.chmod(0o600)
    settings = load(written(tmp_path, '[storage]\ndatabase_url = "file:url"\n'), {})
    assert settings.storage.database_url == url
    assert "hunter2" not in str(redacted(settings))
    secret.chmod(0o644)
    with pytest.raises(ConfigError, match="chmod 600"):
        load(written(tmp_path, '[storage]\ndatabase_url = "file:url"\n'), {})


def test_a_password_in_a_url_never_comes_from_the_environment(tmp_path: Path) -> None:
    path = written(tmp_path, "")
    plain = load(path, {"FRAMEROOM_STORAGE__DATABASE_URL": "postgresql://app@db.example/f"})
    assert plain.storage.database_url == "postgresql://app@db.example/f"
    with pytest.raises(ConfigError, match="never comes from the environment") as caught:
        load(path, {"FRAMEROOM_STORAGE__DATABASE_URL": "postgresql://app:hunter2@db.example/f"})
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        '# a word\n[storage]\ndata_dir = "/var/lib/live"  # here\n[ssh]\nport = 22\n',
        'storage.data_dir = "/var/lib/live"\n[ssh]\nport = 22\n',
        "[storage]\n[ssh]\nport = 22\n",
        "[ssh]\nport = 22",
    ],
)
def test_one_setting_is_changed_and_all_else_stays(tmp_path: Path, text: str) -> None:
    changed = with_value(text, "storage.data_dir", "data")
    settings = load(written(tmp_path, changed), {})
    assert settings.storage.data_dir == tmp_path / "data"
    assert settings.ssh.port == 22
    again = with_value(changed, "storage.data_dir", None)
    assert "/var/lib/live" not in again
    assert load(written(tmp_path, again), {}).ssh.port == 22


def test_what_only_a_person_should_change_is_left_to_one() -> None:
    with pytest.raises(ConfigError, match="changed by hand"):
        with_value('storage = {data_dir = "/var/lib/live"}\n', "storage.data_dir", "data")


@pytest.mark.parametrize(
    ("section", "line", "key"),
    [
        ("deployment", 'name = "two words"', "deployment.name"), ("bucket", 'prefix = "../elsewhere"', "bucket.prefix"),
        ("storage", 'database_url = "mysql://db.example/f"', "storage.database_url"),
        ("ssh", 'proxy_from = ["the balancer"]', "ssh.proxy_from"), ("portal", 'url = "ftp://x.example"', "portal.url"),
        ("portal", 'provider_ca_file = "none.pem"', "portal.provider_ca_file"),
        ("mail", 'ca_file = "none.pem"', "mail.ca_file"), ("mail", 'sender = "Frameroom"', "mail.sender"),
    ],
)  # fmt: skip
def test_what_nothing_could_be_served_with_is_said_before(tmp_path: Path, section: str, line: str, key: str) -> None:
    with pytest.raises(ConfigError, match=key):
        load(written(tmp_path, f"[{section}]\n{line}\n"), {})


def test_files_that_are_named_stand_beside_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("")
    path = written(tmp_path, '[mail]\nca_file = "ca.pem"\n[portal]\nprovider_ca_file = "ca.pem"\n')
    settings = load(path, {})
    assert settings.mail.ca_file == settings.portal.provider_ca_file == tmp_path / "ca.pem"
