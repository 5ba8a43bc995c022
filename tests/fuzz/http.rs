//! The requests of the metrics page: at no cut another request than the whole is.

use kvick::io::web::http::{HEAD_LEN_MAX, Parsed, basic, parse};

/// Runs the target.
pub fn run(data: &[u8]) {
    let whole = parse(data);
    let length = match &whole {
        Parsed::Request(request, length) => {
            assert!(*length <= data.len().min(HEAD_LEN_MAX + 4));
            assert!(request.path.starts_with('/') && !request.path.contains(['?', ' ', '\r']));
            if let Some(text) = request.authorization {
                basic(text);
            }
            assert_eq!(parse(&data[..*length]), whole);
            *length
        }
        Parsed::Incomplete => data.len() + 1,
        Parsed::Refused(status) => {
            assert!((400..600).contains(&status.0));
            return;
        }
    };
    let step = (length / 64).max(1);
    for cut in (0..length.min(data.len() + 1)).step_by(step) {
        assert_eq!(parse(&data[..cut]), Parsed::Incomplete, "cut at {cut}");
    }
}

/// Examples.
pub fn seeds() -> Vec<Vec<u8>> {
    let texts = [
        "GET /metrics?x=1 HTTP/1.1\r\nHost: localhost:80\r\nConnection: close\r\n\r\n",
        "HEAD / HTTP/1.0\r\nAuthorization: Basic dTpwOnE=\r\nConnection: x, keep-alive\r\n\r\nGET",
        "GET /metr\rics?x=0 HTTP/1.1\r\nHost: localhost\u{1}\0:80eC\n.n\r\r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\nHost: [::1]:9\r\n",
    ];
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}
