//! Manifests: what is read can be written and read again as the same.

use kvick::io::aof::manifest::Manifest;

/// Runs the target.
pub fn run(data: &[u8]) {
    check(data);
    // A checksum that fits, which nobody guesses.
    check(&[format!("#KV {:08x}\n", crc32fast::hash(data)).as_bytes(), data].concat());
}

fn check(text: &[u8]) {
    let Ok(manifest) = Manifest::parse(text) else { return };
    let written = manifest.format();
    if !written.is_empty() {
        assert_eq!(Manifest::parse(&written).as_ref(), Ok(&manifest), "{}", written.escape_ascii());
    }
    for part in manifest.parts() {
        let name = part.name.as_encoded_bytes();
        assert!(
            !name.contains(&b'/') && !name.contains(&0) && name != b".." && name != b"." && !name.is_empty()
        );
    }
    assert!(manifest.increments.is_sorted_by(|one, other| one.seq < other.seq));
}

/// Examples.
pub fn seeds() -> Vec<Vec<u8>> {
    let texts = [
        "file appendonly.aof.1.base.rdb seq 1 type b\nfile appendonly.aof.1.incr.aof seq 1 type i\n",
        "# x\nfile \"a b\\x00\" seq 2 type h\nfile 'c' seq 3 type i startoffset 7\n",
        "file a seq 1 type i\nfile b seq 1 type i\n",
    ];
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}
