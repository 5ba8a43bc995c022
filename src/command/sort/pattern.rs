//! Patterns of `BY` and `GET`: what to look up for an element.

use crate::data::element::Item;
use crate::data::entry::Str;
use crate::data::keyspace::Keyspace;

/// What a pattern leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pattern<'a> {
    /// `#`: the element itself.
    Element,
    /// Without a `*`: nothing, since a fixed key says nothing of an element.
    Nothing,
    /// The key that has the element in the place of the first `*`.
    Key {
        /// What stands before it.
        prefix: &'a [u8],
        /// What stands behind it, up to the arrow if there is one.
        suffix: &'a [u8],
        /// Behind an arrow `->`: the field of the hash at that key, instead of the string.
        field: Option<&'a [u8]>,
    },
}

/// What C takes for the whole of a text: it ends at a zero byte.
pub(super) fn up_to_zero(text: &[u8]) -> &[u8] {
    &text[..memchr::memchr(0, text).unwrap_or(text.len())]
}

impl<'a> Pattern<'a> {
    /// Reads a pattern.
    pub(super) fn parse(text: &'a [u8]) -> Pattern<'a> {
        if text == b"#" {
            return Pattern::Element;
        }
        let searched = up_to_zero(text);
        let Some(star) = memchr::memchr(b'*', searched) else { return Pattern::Nothing };
        let (prefix, behind) = (&text[..star], star + 1);
        let arrow = searched[behind..].windows(2).position(|pair| pair == b"->").map(|at| behind + at);
        match arrow.filter(|arrow| arrow + 2 < searched.len()) {
            None => Pattern::Key { prefix, suffix: &text[behind..], field: None },
            Some(arrow) => {
                Pattern::Key { prefix, suffix: &text[behind..arrow], field: Some(&text[arrow + 2..]) }
            }
        }
    }

    /// Whether a field of a hash is looked up.
    pub(super) fn reads_fields(&self) -> bool {
        matches!(self, Pattern::Key { field: Some(_), .. })
    }

    /// What it leads to for an element; `None` if there is no such key or field, or the key is of another type. `name`
    /// is where the key's name is put together.
    pub(super) fn look_up<'k>(
        &self,
        keys: &'k mut Keyspace,
        element: &'k [u8],
        name: &mut Vec<u8>,
    ) -> Option<Item<'k>> {
        let (prefix, suffix, field) = match *self {
            Pattern::Element => return Some(Item::Bytes(element)),
            Pattern::Nothing => return None,
            Pattern::Key { prefix, suffix, field } => (prefix, suffix, field),
        };
        name.clear();
        [prefix, element, suffix].into_iter().for_each(|part| name.extend_from_slice(part));
        let (key, now) = (keys.key(name), keys.now());
        let entry = keys.read(key)?;
        match field {
            Some(field) => entry.hash()?.get(field, now),
            None => Some(match entry.string()? {
                Str::Int(number) => Item::Int(number),
                Str::Bytes(bytes) => Item::Bytes(bytes),
                Str::Shared(bytes) => Item::Shared(bytes),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_taken_apart() {
        let key = |prefix: &'static str, suffix: &'static str, field: Option<&'static str>| Pattern::Key {
            prefix: prefix.as_bytes(),
            suffix: suffix.as_bytes(),
            field: field.map(str::as_bytes),
        };
        for (text, expected) in [
            ("#", Pattern::Element),
            ("##", Pattern::Nothing),
            ("", Pattern::Nothing),
            ("nosort", Pattern::Nothing),
            ("a\0*", Pattern::Nothing),
            ("*", key("", "", None)),
            ("w_*", key("w_", "", None)),
            ("w_*_*", key("w_", "_*", None)),
            ("w_*->f", key("w_", "", Some("f"))),
            ("w_*x->f->g", key("w_", "x", Some("f->g"))),
            ("w_*->", key("w_", "->", None)),
            ("a->b*", key("a->b", "", None)),
            ("w_*\0->f", key("w_", "\0->f", None)),
        ] {
            assert_eq!(Pattern::parse(text.as_bytes()), expected, "{text:?}");
        }
    }
}
