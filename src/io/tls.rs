//! TLS: what the settings say of it, made into what new connections are taken in with.
//!
//! The records, the handshake and the certificates are rustls' work. A connection is taken in with the
//! [`ServerConfig`] of that moment and keeps it; so a reload is one shared pointer for another, and a configuration
//! that cannot be used leaves the one before in force.
//!
//! The texts are for the log and are Redis's as far as both have the same to say.

mod ciphers;
mod sessions;
mod stream;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{Error, InconsistentKeys, RootCertStore, ServerConfig, SupportedProtocolVersion, version};

use crate::config::{ClientCertificates, Settings};
use crate::io::sys;

pub use stream::{SEAL_MAX, Secured, Shaken};

const BAD_PROTOCOLS: &str =
    "Invalid tls-protocols specified. Use a combination of 'TLSv1', 'TLSv1.1', 'TLSv1.2' and 'TLSv1.3'.";
const NO_AUTHORITY: &str = "Either tls-ca-cert-file or tls-ca-cert-dir must be specified when tls-cluster, \
    tls-replication or tls-auth-clients are enabled!";

/// Reads the files that the settings name, and makes of all settings what new connections need.
///
/// # Errors
///
/// The text for the log.
pub fn configure(settings: &Settings) -> Result<Arc<ServerConfig>, String> {
    if settings.tls_cert_file.is_empty() {
        return Err("No tls-cert-file configured!".to_owned());
    }
    if settings.tls_key_file.is_empty() {
        return Err("No tls-key-file configured!".to_owned());
    }
    let asks = settings.tls_auth_clients != ClientCertificates::No;
    if asks && settings.tls_ca_cert_file.is_empty() && settings.tls_ca_cert_dir.is_empty() {
        return Err(NO_AUTHORITY.to_owned());
    }
    let versions = versions(&settings.tls_protocols)?;
    let cipher_suites = ciphers::suites(&settings.tls_ciphers, &settings.tls_ciphersuites)?;
    let provider = Arc::new(CryptoProvider { cipher_suites, ..ring::default_provider() });
    let identity = identity(settings, &provider)?;
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&versions)
        .map_err(|error| format!("Failed to configure TLS: {error}"))?;
    let builder = match asks {
        true => builder.with_client_cert_verifier(verifier(settings, provider)?),
        false => builder.with_no_client_auth(),
    };
    let mut config = builder.with_cert_resolver(Arc::new(SingleCertAndKey::from(identity)));
    config.ignore_client_order = settings.tls_prefer_server_ciphers;
    if settings.tls_session_caching && 0 < settings.tls_session_cache_timeout {
        let (size, secs) = (settings.tls_session_cache_size, settings.tls_session_cache_timeout);
        config.session_storage = Arc::new(sessions::Sessions::new(size, secs, config.time_provider.clone()));
        // One a connection: each that is used brings the next.
        config.send_tls13_tickets = 1;
    } else {
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
    }
    Ok(Arc::new(config))
}

/// Whether the configuration depends on a directive.
pub fn uses(directive: &str) -> bool {
    const FOR_OTHERS: [&str; 2] = ["tls-port", "tls-auto-reload-interval"];
    directive.starts_with("tls-") && !FOR_OTHERS.contains(&directive)
}

/// What the files that the settings name look like from outside: whoever replaces one changes this.
pub fn fingerprint(settings: &Settings) -> Vec<Option<(SystemTime, u64)>> {
    let names = [
        &settings.tls_cert_file,
        &settings.tls_key_file,
        &settings.tls_ca_cert_file,
        &settings.tls_ca_cert_dir,
    ];
    let look = |name: &&String| {
        let metadata = fs::metadata(name.as_str()).ok()?;
        Some((metadata.modified().ok()?, metadata.len()))
    };
    names.iter().map(look).collect()
}

fn versions(words: &str) -> Result<Vec<&'static SupportedProtocolVersion>, String> {
    let mut versions = Vec::new();
    for word in words.split_whitespace() {
        match word.to_ascii_lowercase().as_str() {
            "tlsv1.2" => versions.push(&version::TLS12),
            "tlsv1.3" => versions.push(&version::TLS13),
            "tlsv1" | "tlsv1.1" => {
                return Err(format!(
                    "'tls-protocols {word}' is not supported by kvick: it is broken and was retired by RFC 8996"
                ));
            }
            _ => return Err(BAD_PROTOCOLS.to_owned()),
        }
    }
    if versions.is_empty() {
        versions = vec![&version::TLS13, &version::TLS12];
    }
    Ok(versions)
}

/// Our certificate with its key.
fn identity(settings: &Settings, provider: &CryptoProvider) -> Result<CertifiedKey, String> {
    let path = &settings.tls_cert_file;
    let bad = |why: String| format!("Failed to load certificate: {path}: {why}");
    let chain = certificates(Path::new(path)).map_err(bad)?;
    let path = &settings.tls_key_file;
    let bad = |why: String| format!("Failed to load private key: {path}: {why}");
    let text = fs::read(path).map_err(|error| bad(sys::reason(&error)))?;
    let key = PrivateKeyDer::from_pem_slice(&text).map_err(|error| bad(no_key(&text, error)))?;
    let key = provider.key_provider.load_private_key(key).map_err(|error| bad(error.to_string()))?;
    let identity = CertifiedKey::new(chain, key);
    // Whether they belong together is not known of certificates of the first version of X.509, which many have as
    // their own authority makes them; clients take these.
    match identity.keys_match() {
        Err(Error::InconsistentKeys(InconsistentKeys::KeyMismatch)) => {
            Err(bad("key values mismatch".to_owned()))
        }
        _ => Ok(identity),
    }
}

/// Why there is no key in a file.
fn no_key(text: &[u8], error: pem::Error) -> String {
    let encrypted = memchr::memmem::find(text, b"ENCRYPTED").is_some();
    match error {
        _ if encrypted => "the key is encrypted, which is not supported by kvick".to_owned(),
        pem::Error::NoItemsFound => "no private key in this file".to_owned(),
        error => error.to_string(),
    }
}

/// All certificates of a file, at least one.
fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let text = fs::read(path).map_err(|error| sys::reason(&error))?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    match found {
        Ok(found) if found.is_empty() => Err("no certificate in this file".to_owned()),
        found => found.map_err(|error| error.to_string()),
    }
}

/// Who checks the certificates of clients.
fn verifier(
    settings: &Settings,
    provider: Arc<CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, String> {
    let bad = |why: String| format!("Failed to configure CA certificate(s) file/directory: {why}");
    let mut files = Vec::new();
    if !settings.tls_ca_cert_file.is_empty() {
        files.push(PathBuf::from(&settings.tls_ca_cert_file));
    }
    if !settings.tls_ca_cert_dir.is_empty() {
        files.extend(hashed_names(Path::new(&settings.tls_ca_cert_dir)).map_err(bad)?);
    }
    let mut roots = RootCertStore::empty();
    for file in files {
        let named = |why: String| bad(format!("{}: {why}", file.display()));
        for certificate in certificates(&file).map_err(named)? {
            roots.add(certificate).map_err(|error| named(error.to_string()))?;
        }
    }
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
    let verifier = match settings.tls_auth_clients {
        ClientCertificates::Optional => verifier.allow_unauthenticated(),
        _ => verifier,
    };
    verifier.build().map_err(|error| bad(error.to_string()))
}

/// The files of a directory whose names are a hash and a number, `0123abcd.0`: only what the administrator has put
/// under such a name is trusted by OpenSSL too.
fn hashed_names(directory: &Path) -> Result<Vec<PathBuf>, String> {
    let named = |error: std::io::Error| format!("{}: {}", directory.display(), sys::reason(&error));
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).map_err(named)? {
        let entry = entry.map_err(named)?;
        if is_hashed(&entry.file_name().to_string_lossy()) {
            found.push(entry.path());
        }
    }
    if found.is_empty() {
        let rehash = "no certificate under the name of its hash; run 'openssl rehash' on it";
        return Err(format!("{}: {rehash}", directory.display()));
    }
    found.sort();
    Ok(found)
}

fn is_hashed(name: &str) -> bool {
    let Some((hash, number)) = name.split_once('.') else { return false };
    let digits = |text: &str, digit: fn(&u8) -> bool| !text.is_empty() && text.as_bytes().iter().all(digit);
    hash.len() == 8 && digits(hash, u8::is_ascii_hexdigit) && digits(number, u8::is_ascii_digit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_rehash_gives() {
        for (name, hashed) in [
            ("0123abcd.0", true),
            ("0123abcd.12", true),
            ("0123abcd.r0", false),
            ("0123abcd", false),
            ("0123abc.0", false),
            ("ca.crt", false),
            ("0123abcd.", false),
        ] {
            assert_eq!(is_hashed(name), hashed, "{name}");
        }
    }

    #[test]
    fn protocols() {
        let count = |words| versions(words).map(|versions| versions.len());
        assert_eq!(count(""), Ok(2));
        assert_eq!(count("TLSv1.2 tlsv1.3"), Ok(2));
        assert_eq!(count("TLSv1.3"), Ok(1));
        assert_eq!(count("TLSv1.9"), Err(BAD_PROTOCOLS.to_owned()));
        assert!(count("TLSv1.1 TLSv1.2").is_err_and(|why| why.contains("not supported by kvick")));
    }
}
