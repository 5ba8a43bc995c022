//! A reply of a server, RESP2 or RESP3, kept as exactly as it came: two nulls that look different are different.

use std::fmt;

/// One reply.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Value {
    /// `+text`
    Status(String),
    /// `-text`
    Error(String),
    /// `:number`
    Int(i64),
    /// `$length`
    Bulk(Vec<u8>),
    /// `$-1`
    NullBulk,
    /// `*-1`
    NullArray,
    /// `_`
    Null,
    /// `*count`
    Array(Vec<Value>),
    /// `%count`
    Map(Vec<(Value, Value)>),
    /// `~count`
    Set(Vec<Value>),
    /// `>count`
    Push(Vec<Value>),
    /// `|count`, the attribute alone; the reply it belongs to follows.
    Attribute(Vec<(Value, Value)>),
    /// `,number` as it was written.
    Double(String),
    /// `#t` or `#f`
    Bool(bool),
    /// `(number` as it was written.
    BigNumber(String),
    /// `=length`, format and text.
    Verbatim(String, Vec<u8>),
}

impl Value {
    /// A bulk from text.
    pub fn bulk(text: &str) -> Value {
        Value::Bulk(text.as_bytes().to_vec())
    }

    /// `+OK`
    pub fn ok() -> Value {
        Value::Status("OK".into())
    }

    /// The number of an integer reply; anything else fails the test.
    pub fn int(&self) -> i64 {
        match self {
            Value::Int(n) => *n,
            other => panic!("expected an integer, got {other:?}"),
        }
    }

    /// The elements of an array, set or push; anything else fails the test.
    pub fn items(&self) -> &[Value] {
        match self {
            Value::Array(items) | Value::Set(items) | Value::Push(items) => items,
            other => panic!("expected an array, got {other:?}"),
        }
    }

    /// The bytes of a bulk, status or verbatim reply; anything else fails the test.
    pub fn bytes(&self) -> &[u8] {
        match self {
            Value::Bulk(bytes) | Value::Verbatim(_, bytes) => bytes,
            Value::Status(text) => text.as_bytes(),
            other => panic!("expected a string, got {other:?}"),
        }
    }

    /// The same as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(self.bytes()).into_owned()
    }

    /// One of the three nulls?
    pub fn is_null(&self) -> bool {
        matches!(self, Value::Null | Value::NullBulk | Value::NullArray)
    }

    /// The error text, if it is an error.
    pub fn error(&self) -> Option<&str> {
        match self {
            Value::Error(text) => Some(text),
            _ => None,
        }
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Status(text) => write!(f, "+{text}"),
            Value::Error(text) => write!(f, "-{text}"),
            Value::Int(n) => write!(f, ":{n}"),
            Value::Bulk(bytes) => f.write_str(&quoted(bytes)),
            Value::NullBulk => f.write_str("$-1"),
            Value::NullArray => f.write_str("*-1"),
            Value::Null => f.write_str("_"),
            Value::Array(items) => f.debug_list().entries(items).finish(),
            Value::Map(pairs) => f.debug_map().entries(pairs.iter().map(|(k, v)| (k, v))).finish(),
            Value::Set(items) => f.write_str("~").and_then(|()| f.debug_list().entries(items).finish()),
            Value::Push(items) => f.write_str(">").and_then(|()| f.debug_list().entries(items).finish()),
            Value::Attribute(pairs) => f
                .write_str("|")
                .and_then(|()| f.debug_map().entries(pairs.iter().map(|(k, v)| (k, v))).finish()),
            Value::Double(text) => write!(f, ",{text}"),
            Value::Bool(yes) => write!(f, "#{yes}"),
            Value::BigNumber(text) => write!(f, "({text}"),
            Value::Verbatim(format, bytes) => write!(f, "={format}:{}", quoted(bytes)),
        }
    }
}

/// Bytes in quotes; the middle of long ones is left out, since nobody reads it.
pub fn quoted(bytes: &[u8]) -> String {
    if bytes.len() <= 120 {
        return format!("\"{}\"", bytes.escape_ascii());
    }
    let (head, tail) = (&bytes[..60], &bytes[bytes.len() - 20..]);
    format!("\"{}…({} bytes)…{}\"", head.escape_ascii(), bytes.len(), tail.escape_ascii())
}
