//! SHA-256 (FIPS 180-4), under which passwords are kept.

use ring::digest::{SHA256, digest};

/// What the algorithm makes of a message.
pub type Digest = [u8; 32];

/// The digest of a message.
pub fn sha256(message: &[u8]) -> Digest {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(digest(&SHA256, message).as_ref());
    bytes
}

/// Compares in the same time wherever the two differ, so that the clock tells nothing of a secret.
pub fn equal(a: &Digest, b: &Digest) -> bool {
    std::hint::black_box(a.iter().zip(b).fold(0, |difference, (x, y)| difference | (x ^ y))) == 0
}

/// The digest as 64 hexadecimal digits in lower case.
pub fn to_hex(digest: &Digest) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The digest that 64 hexadecimal digits in lower case stand for.
pub fn from_hex(text: &[u8]) -> Option<Digest> {
    let value = |digit: u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    };
    let mut digest = [0; 32];
    if text.len() != 2 * digest.len() {
        return None;
    }
    for (byte, pair) in digest.iter_mut().zip(text.chunks_exact(2)) {
        *byte = value(pair[0])? << 4 | value(pair[1])?;
    }
    Some(digest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_those_of_the_standard() {
        let million = vec![b'a'; 1_000_000];
        for (message, expected) in [
            (&b""[..], "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
            (b"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
            (
                b"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
                "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1",
            ),
            (
                b"abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmnoijklmnopjklmnopqklmnopqrlmnopqrsmnopqrstnopqrstu",
                "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1",
            ),
            (&million, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"),
        ] {
            assert_eq!(to_hex(&sha256(message)), expected);
        }
    }

    #[test]
    fn lengths_around_the_end_of_a_block_differ() {
        let zeros = [0; 130];
        let mut seen: Vec<Digest> = (0..=zeros.len()).map(|len| sha256(&zeros[..len])).collect();
        // Computed with coreutils' sha256sum.
        assert_eq!(to_hex(&seen[55]), "02779466cdec163811d078815c633f21901413081449002f24aa3e80f0b88ef7");
        assert_eq!(to_hex(&seen[64]), "f5a5fd42d16a20302798ef6ed309979b43003d2320d9f0e8ea9831a92759fb4b");
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), zeros.len() + 1);
    }

    #[test]
    fn hexadecimal_digits_go_there_and_back() {
        let digest = sha256(b"x");
        assert_eq!(from_hex(to_hex(&digest).as_bytes()), Some(digest));
        assert!(equal(&digest, &sha256(b"x")) && !equal(&digest, &sha256(b"y")));
        for bad in ["", "00", &"0".repeat(63), &"0".repeat(65), &"A".repeat(64), &"g".repeat(64)] {
            assert_eq!(from_hex(bad.as_bytes()), None, "{bad}");
        }
    }
}
