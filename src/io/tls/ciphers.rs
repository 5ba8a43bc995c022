//! Which ciphers are offered: lists in the language of OpenSSL, as configuration files have them.
//!
//! A list says what may be used. What it names and we do not have is simply not used, which the log tells; so lists
//! that are handed around work as they are. Only a list of which nothing is left is an error.

use rustls::SupportedCipherSuite;
use rustls::crypto::ring::cipher_suite::{
    TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
    TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
    TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384, TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
    TLS13_AES_128_GCM_SHA256, TLS13_AES_256_GCM_SHA384, TLS13_CHACHA20_POLY1305_SHA256,
};

/// A cipher of TLS 1.2: its name in OpenSSL, the keywords that mean it among others, and itself.
type Cipher = (&'static str, &'static [&'static str], SupportedCipherSuite);

/// In the order in which OpenSSL prefers them.
const CIPHERS: &[Cipher] = &[
    (
        "ECDHE-ECDSA-AES256-GCM-SHA384",
        &["AECDSA", "ECDSA", "AES", "AESGCM", "AES256", "SUITEB192"],
        TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
    ),
    (
        "ECDHE-RSA-AES256-GCM-SHA384",
        &["ARSA", "AES", "AESGCM", "AES256"],
        TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
    ),
    (
        "ECDHE-ECDSA-CHACHA20-POLY1305",
        &["AECDSA", "ECDSA", "CHACHA20"],
        TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
    ),
    ("ECDHE-RSA-CHACHA20-POLY1305", &["ARSA", "CHACHA20"], TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256),
    (
        "ECDHE-ECDSA-AES128-GCM-SHA256",
        &["AECDSA", "ECDSA", "AES", "AESGCM", "AES128"],
        TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
    ),
    (
        "ECDHE-RSA-AES128-GCM-SHA256",
        &["ARSA", "AES", "AESGCM", "AES128"],
        TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
    ),
];

/// Keywords that mean all of them.
const ALL: &[&str] =
    &["ALL", "DEFAULT", "HIGH", "FIPS", "ECDH", "ECDHE", "EECDH", "KECDHE", "KEECDH", "TLSV1.2"];

/// The ciphers of TLS 1.3, the strongest first.
const SUITES: &[(&str, SupportedCipherSuite)] = &[
    ("TLS_AES_256_GCM_SHA384", TLS13_AES_256_GCM_SHA384),
    ("TLS_CHACHA20_POLY1305_SHA256", TLS13_CHACHA20_POLY1305_SHA256),
    ("TLS_AES_128_GCM_SHA256", TLS13_AES_128_GCM_SHA256),
];

/// What `tls-ciphers` and `tls-ciphersuites` leave; all if they are empty.
///
/// # Errors
///
/// The text for the log, if one of them leaves nothing, or names a suite of TLS 1.3 that there is not.
pub fn suites(ciphers: &str, ciphersuites: &str) -> Result<Vec<SupportedCipherSuite>, String> {
    let mut found = Vec::new();
    for name in ciphersuites.split(':').filter(|name| !name.is_empty()) {
        match SUITES.iter().find(|(known, _)| *known == name) {
            Some((_, suite)) => found.push(*suite),
            None => {
                return Err(format!(
                    "Failed to configure ciphersuites: {ciphersuites}: '{name}' is not supported by kvick"
                ));
            }
        }
    }
    if ciphersuites.is_empty() {
        found.extend(SUITES.iter().map(|(_, suite)| *suite));
    }
    let list = if ciphers.is_empty() { "DEFAULT" } else { ciphers };
    let (order, absent) = evaluate(list);
    if order.is_empty() {
        return Err(format!("Failed to configure ciphers: {ciphers}"));
    }
    if !absent.is_empty() {
        log::warn!("tls-ciphers: there is nothing here that these stand for: {}", absent.join(", "));
    }
    found.extend(order.into_iter().map(|index| CIPHERS[index].2));
    Ok(found)
}

/// Which of [`CIPHERS`] a list leaves, in which order, and the words in it that add nothing because there is nothing.
fn evaluate(list: &str) -> (Vec<usize>, Vec<&str>) {
    let (mut order, mut banned, mut absent) = (Vec::new(), Vec::new(), Vec::new());
    for word in list.split([':', ',', ' ', ';']).filter(|word| !word.is_empty()) {
        let (mark, name) = match word.as_bytes()[0] {
            mark @ (b'!' | b'-' | b'+' | b'@') => (mark, &word[1..]),
            _ => (b' ', word),
        };
        let meant: Vec<usize> = (0..CIPHERS.len()).filter(|index| means(name, &CIPHERS[*index])).collect();
        match mark {
            // An order by strength is the one they have; levels of security are all met.
            b'@' => {}
            b'!' => {
                order.retain(|index| !meant.contains(index));
                banned.extend(meant);
            }
            b'-' => order.retain(|index| !meant.contains(index)),
            b'+' => {
                let (moved, kept) = order.into_iter().partition(|index| meant.contains(index));
                order = kept;
                order.extend::<Vec<usize>>(moved);
            }
            _ if meant.is_empty() => absent.push(word),
            _ => {
                let new = |index: &usize| !order.contains(index) && !banned.contains(index);
                let new: Vec<usize> = meant.into_iter().filter(new).collect();
                order.extend(new);
            }
        }
    }
    (order, absent)
}

/// Whether a word of a list means a cipher: its name, or keywords of it with `+` between.
fn means(word: &str, (name, keywords, _): &Cipher) -> bool {
    let word = word.to_ascii_uppercase();
    word == *name || word.split('+').all(|part| ALL.contains(&part) || keywords.contains(&part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_leave_what_openssl_leaves_of_ours() {
        for (list, left) in [
            ("DEFAULT", "012345"),
            ("HIGH:!aNULL:!MD5", "012345"),
            ("EECDH+AESGCM:!aNULL", "0145"),
            ("ECDHE+CHACHA20:ECDHE+AESGCM", "230145"),
            ("ECDHE-RSA-AES128-GCM-SHA256", "5"),
            ("ECDHE-RSA-AES128-GCM-SHA256:DHE-RSA-AES128-GCM-SHA256", "5"),
            ("aRSA", "135"),
            ("ALL:!aECDSA", "135"),
            ("ALL:-AES256:AES256", "234501"),
            ("ALL:!AES256:AES256", "2345"),
            ("ALL:+CHACHA20", "014523"),
            ("AES128 AES256,CHACHA20", "450123"),
            ("DEFAULT:!MEDIUM", "012345"),
            ("ALL:@STRENGTH", "012345"),
            ("NOPE", ""),
            ("RSA:PSK", ""),
            ("!ALL:ALL", ""),
        ] {
            let order: String = evaluate(list).0.iter().map(usize::to_string).collect();
            assert_eq!(order, left, "{list}");
        }
        assert_eq!(evaluate("aRSA:DHE-RSA-AES128-SHA:!MD5").1, ["DHE-RSA-AES128-SHA"]);
    }

    #[test]
    fn what_is_left() {
        let count = |ciphers, suites_| suites(ciphers, suites_).map(|found| found.len());
        assert_eq!(count("", ""), Ok(9));
        assert_eq!(count("", "TLS_AES_128_GCM_SHA256"), Ok(7));
        assert_eq!(count("aRSA", "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384"), Ok(5));
        assert_eq!(count("NOPE", ""), Err("Failed to configure ciphers: NOPE".to_owned()));
        assert!(
            count("", "TLS_AES_128_CCM_SHA256").is_err_and(|why| why.contains("'TLS_AES_128_CCM_SHA256'"))
        );
    }
}
