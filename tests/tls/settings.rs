//! What is configured: at the start, while it runs, and back into the file.

use crate::common::server::free_port;
use crate::common::{Client, Server, Value, run, text, wait_until};
use crate::setup::{Certificates, Tls, pong};
use std::fs;

const UNABLE: &str = "Unable to update TLS configuration. Check server logs.";

/// The name in the certificate that a client is shown.
fn shown(certificates: &Certificates, tls: &Tls) -> String {
    let mut client = tls.client(&certificates.friend());
    assert_eq!(pong(), client.say("PING"));
    let chain = client.tls().conn.peer_certificates().expect("a certificate").to_vec();
    let subject = run("openssl", &["x509", "-inform", "DER", "-noout", "-subject"], &chain[0]);
    text(&subject.stdout).rsplit(' ').next().unwrap_or_default().to_string()
}

fn failed(name: &str, why: &str) -> Value {
    Value::Error(format!("ERR CONFIG SET failed (possibly related to argument '{name}') - {why}"))
}

#[test]
fn certificates_are_read_again_for_new_connections_only() {
    let certificates = Certificates::make();
    let tls = certificates.server(&[]);
    let mut admin = tls.server.client();
    let mut old = tls.client(&certificates.friend());
    let path = |name: &str| certificates.path(name);
    assert_eq!("server", shown(&certificates, &tls));
    let set = ["CONFIG", "SET", "tls-cert-file", &path("next.crt"), "tls-key-file", &path("next.key")];
    assert_eq!(Value::ok(), admin.cmd(&set));
    assert_eq!("next", shown(&certificates, &tls));
    // The same names, but other files: also read again.
    fs::copy(path("rsa.crt"), path("next.crt")).expect("a copy");
    fs::copy(path("rsa.key"), path("next.key")).expect("a copy");
    assert_eq!("next", shown(&certificates, &tls));
    assert_eq!(Value::ok(), admin.cmd(&["CONFIG", "SET", "tls-cert-file", &path("next.crt")]));
    assert_eq!("rsa", shown(&certificates, &tls));
    assert_eq!(pong(), old.say("PING"));
}

#[test]
fn what_cannot_be_used_changes_nothing() {
    let certificates = Certificates::make();
    let tls = certificates.server(&[]);
    let mut admin = tls.server.client();
    let path = |name: &str| certificates.path(name);
    for (name, value, told) in [
        ("tls-cert-file", path("none.crt"), "Failed to load certificate: "),
        ("tls-cert-file", path("nonsense.crt"), "no certificate in this file"),
        ("tls-cert-file", String::new(), "No tls-cert-file configured!"),
        ("tls-key-file", path("client.key"), "client.key: key values mismatch"),
        ("tls-key-file", path("server.crt"), "no private key in this file"),
        ("tls-key-file", path("locked.key"), "the key is encrypted, which is not supported by kvick"),
        ("tls-key-file", String::new(), "No tls-key-file configured!"),
        ("tls-ca-cert-file", path("none.crt"), "Failed to configure CA certificate(s) file/directory: "),
        ("tls-ca-cert-file", String::new(), "Either tls-ca-cert-file or tls-ca-cert-dir must be specified"),
        ("tls-ca-cert-dir", path("plain"), "run 'openssl rehash' on it"),
        ("tls-protocols", "TLSv1.9".into(), "Invalid tls-protocols specified."),
        ("tls-protocols", "TLSv1.1".into(), "'tls-protocols TLSv1.1' is not supported by kvick"),
        ("tls-ciphers", "NOPE".into(), "Failed to configure ciphers: NOPE"),
        ("tls-ciphersuites", "NOPE".into(), "Failed to configure ciphersuites: NOPE"),
    ] {
        let before = admin.say(&format!("CONFIG GET {name}"));
        assert_eq!(failed(name, UNABLE), admin.cmd(&["CONFIG", "SET", name, &value]), "{name} {value}");
        assert_eq!(before, admin.say(&format!("CONFIG GET {name}")));
        assert!(tls.server.log().contains(told), "{name} {value}: {}", tls.server.log());
        assert_eq!("server", shown(&certificates, &tls));
    }
    let why = "argument(s) must be one of the following: no, yes, optional";
    assert_eq!(failed("tls-auth-clients", why), admin.say("CONFIG SET tls-auth-clients maybe"));
    let why = "'tls-key-file-pass ...' is not supported by kvick: ";
    let refused = admin.say("CONFIG SET tls-key-file-pass hush");
    assert!(refused.error().is_some_and(|text| text.contains(why)), "{refused:?}");
}

#[test]
fn authorities_may_lie_in_a_directory() {
    let certificates = Certificates::make();
    let tls = certificates.server(&[]);
    let mut admin = tls.server.client();
    let hashed = certificates.path("hashed");
    let set = ["CONFIG", "SET", "tls-ca-cert-dir", &hashed, "tls-ca-cert-file", ""];
    assert_eq!(Value::ok(), admin.cmd(&set));
    assert!(tls.lets_in(&certificates.friend()));
    let stranger = certificates.client(Some("stranger"), rustls::ALL_VERSIONS);
    assert!(!tls.lets_in(&stranger), "its authority lies there under another name");
}

#[test]
fn files_that_change_are_noticed_if_that_is_wished() {
    let certificates = Certificates::make();
    let tls = certificates.server(&["--tls-auto-reload-interval", "1"]);
    let path = |name: &str| certificates.path(name);
    assert_eq!("server", shown(&certificates, &tls));
    fs::copy(path("nonsense.crt"), path("server.crt")).expect("a copy");
    wait_until("it is told", || tls.server.log().contains("what was read before stays in force"));
    assert_eq!("server", shown(&certificates, &tls));
    fs::copy(path("rsa.key"), path("server.key")).expect("a copy");
    fs::copy(path("rsa.crt"), path("server.crt")).expect("a copy");
    wait_until("it is read", || shown(&certificates, &tls) == "rsa");
}

#[test]
fn the_port_comes_and_goes() {
    let certificates = Certificates::make();
    let tls = certificates.server(&[]);
    let mut admin = tls.server.client();
    let mut stays = tls.client(&certificates.friend());
    let described = admin.say("INFO server").text();
    assert!(
        described.contains(&format!("listener1:name=tls,bind=127.0.0.1,port={}", tls.port)),
        "{described}"
    );
    let taken = Server::start(&[]);
    let reply = admin.say(&format!("CONFIG SET tls-port {}", taken.port()));
    assert_eq!(failed("tls-port", "Unable to listen on this port. Check server logs."), reply);
    assert!(tls.lets_in(&certificates.friend()), "the port before is open again");
    assert_eq!(Value::ok(), admin.say("CONFIG SET tls-port 0"));
    assert!(tls.try_client(&certificates.friend()).is_err());
    assert_eq!(pong(), stays.say("PING"));
    assert_eq!(Value::ok(), admin.say(&format!("CONFIG SET tls-port {}", tls.port)));
    assert!(tls.lets_in(&certificates.friend()));
    // Plain connections may be given up altogether.
    assert_eq!(Value::ok(), admin.say("CONFIG SET port 0"));
    assert!(Client::try_connect("127.0.0.1", tls.server.port()).is_err());
    assert!(stays.say("INFO server").text().contains(&format!("tcp_port:{}", tls.port)));
    let laddr = format!("laddr=127.0.0.1:{}", tls.port);
    assert!(stays.say("CLIENT INFO").text().contains(&laddr));
}

#[test]
fn the_settings_go_into_the_file_and_back() {
    let certificates = Certificates::make();
    let folder = tempfile::tempdir().expect("a temporary directory");
    let file = folder.path().join("kvick.conf");
    fs::write(&file, "tls-auth-clients optional\n").expect("a file");
    let tls = certificates.server_of(&file, &[]);
    let mut admin = tls.server.client();
    for set in ["tls-ciphers ALL:!AES128", "tls-protocols TLSv1.3", "tls-session-cache-size 7"] {
        assert_eq!(Value::ok(), admin.say(&format!("CONFIG SET {set}")));
    }
    assert_eq!(Value::ok(), admin.say("CONFIG REWRITE"));
    let text = fs::read_to_string(&file).expect("the file");
    for line in [
        "tls-auth-clients optional".to_string(),
        format!("tls-port {}", tls.port),
        format!("tls-cert-file \"{}\"", certificates.path("server.crt")),
        "tls-ciphers \"ALL:!AES128\"".to_string(),
        "tls-protocols \"TLSv1.3\"".to_string(),
        "tls-session-cache-size 7".to_string(),
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
    }
}

#[test]
fn it_does_not_start_without_what_it_needs() {
    let certificates = Certificates::make();
    let folder = tempfile::tempdir().expect("a temporary directory");
    let port = free_port().to_string();
    let options = certificates.options();
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    let locked = certificates.path("locked.key");
    for (args, told) in [
        (vec![], "No tls-cert-file configured!"),
        (options[..2].to_vec(), "No tls-key-file configured!"),
        (options[..4].to_vec(), "Either tls-ca-cert-file or tls-ca-cert-dir must be specified"),
        ([&options[..], &["--tls-key-file", &locked]].concat(), "the key is encrypted"),
        ([&options[..], &["--tls-protocols", "SSLv3"]].concat(), "Invalid tls-protocols specified."),
    ] {
        let args = [&["--tls-port", port.as_str()], &args[..]].concat();
        let (code, log) = Server::start_refused(&args, folder.path());
        assert_eq!(Some(1), code, "{log}");
        assert!(log.contains(told) && log.contains("Failed to configure TLS."), "{told} is not in\n{log}");
    }
    let (code, log) = Server::start_refused(&["--port", "0"], folder.path());
    assert!(code == Some(1) && log.contains("Configured to not listen anywhere, exiting."), "{log}");
}
