//! As much of HTTP/1.1 (RFC 9112) as a scrape and a page need: `GET` and `HEAD` without a body.
//!
//! A request is its head, of at most [`HEAD_LEN_MAX`] bytes. Whatever else is refused with a status, and the
//! connection ends, since where the next request would begin is anybody's guess.

/// Bytes of a request's head.
pub const HEAD_LEN_MAX: usize = 8 << 10;

/// A request.
#[derive(Debug, PartialEq, Eq)]
pub struct Request<'a> {
    /// The path, without what follows a `?`.
    pub path: &'a str,
    /// It is a `HEAD`: the body is not sent.
    pub head_only: bool,
    /// The connection stays open after the response.
    pub keep_alive: bool,
    /// The name of the server as the client knows it, without the port.
    pub host: Option<&'a str>,
    /// `Authorization`.
    pub authorization: Option<&'a str>,
}

/// What the bytes so far are.
#[derive(Debug, PartialEq, Eq)]
pub enum Parsed<'a> {
    /// Not a whole head yet.
    Incomplete,
    /// A request, and how many bytes it took.
    Request(Request<'a>, usize),
    /// Nothing that is answered but with this.
    Refused(Status),
}

/// Code and reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status(pub u16, pub &'static str);

/// All is well.
pub const OK: Status = Status(200, "OK");
/// What came is no request.
pub const BAD_REQUEST: Status = Status(400, "Bad Request");
/// A password is needed.
pub const UNAUTHORIZED: Status = Status(401, "Unauthorized");
/// It is asked for under a name that is not ours.
pub const FORBIDDEN: Status = Status(403, "Forbidden");
/// There is no such path.
pub const NOT_FOUND: Status = Status(404, "Not Found");
/// Neither `GET` nor `HEAD`.
pub const NOT_ALLOWED: Status = Status(405, "Method Not Allowed");
/// A request with a body.
pub const TOO_LARGE: Status = Status(413, "Content Too Large");
/// The head is too long.
pub const HEAD_TOO_LARGE: Status = Status(431, "Request Header Fields Too Large");
/// Not HTTP/1.
pub const VERSION: Status = Status(505, "HTTP Version Not Supported");

/// Finds the first request in these bytes.
pub fn parse(bytes: &[u8]) -> Parsed<'_> {
    let Some(end) = memchr::memmem::find(bytes, b"\r\n\r\n") else {
        let too_long = HEAD_LEN_MAX <= bytes.len();
        return if too_long { Parsed::Refused(HEAD_TOO_LARGE) } else { Parsed::Incomplete };
    };
    if HEAD_LEN_MAX <= end {
        return Parsed::Refused(HEAD_TOO_LARGE);
    }
    match std::str::from_utf8(&bytes[..end]) {
        Ok(head) => head_of(head).map_or_else(Parsed::Refused, |request| Parsed::Request(request, end + 4)),
        Err(_) => Parsed::Refused(BAD_REQUEST),
    }
}

fn head_of(head: &str) -> Result<Request<'_>, Status> {
    let mut lines = head.split("\r\n");
    // A line end of one byte is another way to be read as two things.
    if lines.clone().any(|line| line.contains(|char: char| char.is_ascii_control() && char != '\t')) {
        return Err(BAD_REQUEST);
    }
    let mut words = lines.next().unwrap_or_default().split(' ');
    let (Some(method), Some(target), Some(version), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(BAD_REQUEST);
    };
    let keep_alive = match version {
        "HTTP/1.1" => true,
        "HTTP/1.0" => false,
        _ if version.starts_with("HTTP/") => return Err(VERSION),
        _ => return Err(BAD_REQUEST),
    };
    if method != "GET" && method != "HEAD" {
        return Err(NOT_ALLOWED);
    }
    if !target.starts_with('/') {
        return Err(BAD_REQUEST);
    }
    let path = target.split('?').next().unwrap_or_default();
    let mut request =
        Request { path, head_only: method == "HEAD", keep_alive, host: None, authorization: None };
    for line in lines {
        let (name, value) = line.split_once(':').ok_or(BAD_REQUEST)?;
        // A name with a blank at its end, or a line that goes on the last one: ways to be read as two things.
        if name.is_empty() || name.contains([' ', '\t']) {
            return Err(BAD_REQUEST);
        }
        field(&mut request, name, value.trim_matches([' ', '\t']))?;
    }
    Ok(request)
}

fn field<'a>(request: &mut Request<'a>, name: &str, value: &'a str) -> Result<(), Status> {
    let is = |other: &str| name.eq_ignore_ascii_case(other);
    if is("content-length") && value != "0" || is("transfer-encoding") {
        return Err(TOO_LARGE);
    } else if is("connection") {
        for word in value.split(',').map(|word| word.trim_matches([' ', '\t'])) {
            if word.eq_ignore_ascii_case("close") {
                request.keep_alive = false;
            } else if word.eq_ignore_ascii_case("keep-alive") {
                request.keep_alive = true;
            }
        }
    } else if is("host") {
        if request.host.is_some() {
            return Err(BAD_REQUEST);
        }
        request.host = Some(without_port(value));
    } else if is("authorization") {
        request.authorization = Some(value);
    }
    Ok(())
}

/// `[::1]:9121` is `::1`, `localhost:9121` is `localhost`.
fn without_port(host: &str) -> &str {
    match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    }
}

/// User and password of `Authorization: Basic`.
pub fn basic(authorization: &str) -> Option<(Vec<u8>, Vec<u8>)> {
    let (scheme, encoded) = authorization.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = decode_base64(encoded.trim_matches(' '))?;
    let colon = memchr::memchr(b':', &decoded)?;
    Some((decoded[..colon].to_vec(), decoded[colon + 1..].to_vec()))
}

/// Base64 with its padding, as RFC 4648 has it.
fn decode_base64(text: &str) -> Option<Vec<u8>> {
    let stripped = text.trim_end_matches('=');
    if !text.len().is_multiple_of(4) || 2 < text.len() - stripped.len() {
        return None;
    }
    let mut out = Vec::with_capacity(stripped.len() / 4 * 3 + 2);
    for four in stripped.as_bytes().chunks(4) {
        let mut bits: u32 = 0;
        for letter in four {
            let value = match letter {
                b'A'..=b'Z' => letter - b'A',
                b'a'..=b'z' => letter - b'a' + 26,
                b'0'..=b'9' => letter - b'0' + 52,
                b'+' => 62,
                b'/' => 63,
                _ => return None,
            };
            bits = bits << 6 | u32::from(value);
        }
        let bytes = (bits << (6 * (4 - four.len()))).to_be_bytes();
        out.extend_from_slice(&bytes[1..four.len().max(1)]);
    }
    Some(out)
}

/// What is sent back.
#[derive(Debug)]
pub struct Response<'a> {
    /// How it went.
    pub status: Status,
    /// The type of the body.
    pub kind: &'static str,
    /// More fields, each with its line end.
    pub fields: &'static str,
    /// The body.
    pub body: &'a [u8],
}

impl Response<'_> {
    /// Writes the response. Nothing of it may be kept by anybody or read as another type than it is.
    pub fn write(&self, head_only: bool, keep_alive: bool, out: &mut Vec<u8>) {
        let Status(code, reason) = self.status;
        let connection = if keep_alive { "keep-alive" } else { "close" };
        let head = format!(
            "HTTP/1.1 {code} {reason}\r\nContent-Type: {}\r\nContent-Length: {}\r\nConnection: {connection}\r\n\
             Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n{}\r\n",
            self.kind,
            self.body.len(),
            self.fields
        );
        out.extend_from_slice(head.as_bytes());
        if !head_only {
            out.extend_from_slice(self.body);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests() {
        let request = |path, head_only, keep_alive, host| Request {
            path,
            head_only,
            keep_alive,
            host,
            authorization: None,
        };
        for (text, expected) in [
            ("GET / HTTP/1.1\r\n\r\n", request("/", false, true, None)),
            ("HEAD /metrics?x=1&y HTTP/1.0\r\n\r\n", request("/metrics", true, false, None)),
            ("GET /m HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", request("/m", false, true, None)),
            ("GET /m HTTP/1.1\r\nhost:[::1]:9\r\nconnection: x, close\r\n\r\n", {
                request("/m", false, false, Some("::1"))
            }),
            ("GET / HTTP/1.1\r\nHost: localhost:80\r\nContent-Length: 0\r\nX:\r\n\r\nGET", {
                request("/", false, true, Some("localhost"))
            }),
        ] {
            let len = text.find("\r\n\r\n").expect("an end") + 4;
            assert_eq!(parse(text.as_bytes()), Parsed::Request(expected, len), "{text:?}");
            for cut in 0..len {
                assert_eq!(parse(&text.as_bytes()[..cut]), Parsed::Incomplete, "{text:?} until {cut}");
            }
        }
    }

    #[test]
    fn what_is_no_request_is_refused() {
        for (text, status) in [
            ("POST / HTTP/1.1", NOT_ALLOWED),
            ("get / HTTP/1.1", NOT_ALLOWED),
            ("GET / HTTP/2.0", VERSION),
            ("GET / RESP/3", BAD_REQUEST),
            ("GET  / HTTP/1.1", BAD_REQUEST),
            ("GET /", BAD_REQUEST),
            ("*1", BAD_REQUEST),
            ("", BAD_REQUEST),
            ("GET http://x/ HTTP/1.1", BAD_REQUEST),
            ("GET / HTTP/1.1\r\nno colon", BAD_REQUEST),
            ("GET / HTTP/1.1\r\nHost : x", BAD_REQUEST),
            ("GET / HTTP/1.1\r\nA: b\r\n folded: c", BAD_REQUEST),
            ("GET / HTTP/1.1\r\nHost: a\r\nHost: b", BAD_REQUEST),
            ("GET /a\rb HTTP/1.1", BAD_REQUEST),
            ("GET / HTTP/1.1\r\nA: b\nHost: x", BAD_REQUEST),
            ("GET / HTTP/1.1\r\nA: \0", BAD_REQUEST),
            ("GET / HTTP/1.1\r\nContent-Length: 5", TOO_LARGE),
            ("GET / HTTP/1.1\r\nTransfer-Encoding: chunked", TOO_LARGE),
        ] {
            assert_eq!(parse(format!("{text}\r\n\r\n").as_bytes()), Parsed::Refused(status), "{text:?}");
        }
        assert_eq!(parse(b"GET /\xff HTTP/1.1\r\n\r\n"), Parsed::Refused(BAD_REQUEST));
        let long = vec![b'x'; HEAD_LEN_MAX];
        assert_eq!(parse(&long), Parsed::Refused(HEAD_TOO_LARGE));
        assert_eq!(parse(&[&long[..], b"\r\n\r\n"].concat()), Parsed::Refused(HEAD_TOO_LARGE));
    }

    #[test]
    fn base64() {
        for (text, expected) in [
            ("", Some("")),
            ("Zg==", Some("f")),
            ("Zm8=", Some("fo")),
            ("Zm9v", Some("foo")),
            ("Zm9vYmFy", Some("foobar")),
            ("+/+/", None::<&str>),
            ("Zg=", None),
            ("Zg", None),
            ("Z===", None),
            ("Zm9*", None),
        ] {
            let decoded = decode_base64(text);
            match expected {
                Some(expected) => assert_eq!(decoded.as_deref(), Some(expected.as_bytes()), "{text}"),
                None if text == "+/+/" => assert_eq!(decoded, Some(vec![0xfb, 0xff, 0xbf])),
                None => assert_eq!(decoded, None, "{text}"),
            }
        }
        assert_eq!(basic("basic dTpwOnE="), Some((b"u".to_vec(), b"p:q".to_vec())));
        assert_eq!(basic("Bearer dTpwOnE="), None);
        assert_eq!(basic("Basic"), None);
    }
}
