//! The request parser: the same bytes, however they are split, are the same requests and the same error.

use kvick::resp::request::Parser;
use kvick::resp::request::{Args, BIG, Batch, Input, Limits, ProtocolError, Request};

use super::Choices;

/// What came of a stream: requests with their positions, the error, and how many bytes wait for more.
#[derive(Debug, PartialEq)]
struct Outcome {
    requests: Vec<(Vec<Vec<u8>>, u64)>,
    error: Option<ProtocolError>,
    buffered: usize,
}

/// How a stream is taken in.
struct How<'a> {
    limits: &'a Limits,
    room: usize,
    at_once: usize,
    /// Bytes of a big argument are put where the parser says.
    direct: bool,
}

/// Takes the next bytes in, and says how many.
fn feed(parser: &mut Parser, input: &mut Input, bytes: &[u8], direct: bool) -> usize {
    if !direct || !parser.is_direct() {
        return parser.feed(input, bytes);
    }
    let read = parser.read_direct(|room| {
        let count = room.len().min(bytes.len());
        assert!(0 < count);
        let filled = room[..count].write_copy_of_slice(&bytes[..count]);
        Ok::<_, ()>(filled)
    });
    read.expect("memory does not fail")
}

fn parse<'a>(pieces: impl Iterator<Item = &'a [u8]>, how: &How<'_>) -> Outcome {
    let (mut parser, mut batch, mut input) = (Parser::default(), Batch::default(), Input::new(how.room));
    let mut outcome = Outcome { requests: Vec::new(), error: None, buffered: 0 };
    for mut piece in pieces {
        while outcome.error.is_none() && (!piece.is_empty() || parser.has_backlog()) {
            parser.begin(&mut input);
            if !parser.has_backlog() {
                piece = &piece[feed(&mut parser, &mut input, piece, how.direct)..];
            }
            let parsed = parser.parse(&mut input, &mut batch, how.at_once, how.limits);
            assert!(parsed.len() <= how.at_once);
            for (index, args) in parsed.iter().enumerate() {
                outcome.requests.push((words(args), parsed.position(index)));
            }
            outcome.error = parsed.error();
            parser.finish(&mut input);
            assert!(input.is_empty());
        }
    }
    if outcome.error.is_none() {
        outcome.buffered = parser.buffered();
        // What a request that is not whole yet has announced is not what it takes.
        assert!(parser.memory() <= 256 * 1024 + 64 * outcome.buffered, "{} bytes", parser.memory());
    }
    outcome
}

/// The arguments, after the ways of keeping and encoding them have been compared.
fn words(args: Args<'_>) -> Vec<Vec<u8>> {
    let words: Vec<Vec<u8>> = args.iter().map(<[u8]>::to_vec).collect();
    let mut encoded = Vec::new();
    args.encode_into(&mut encoded);
    assert_eq!(encoded.len(), args.encoded_len());
    let kept = Request::from(args);
    assert!(kept.args().iter().eq(args.iter()));
    let mut again = Vec::new();
    Request::new(words.iter().map(Vec::as_slice)).args().encode_into(&mut again);
    assert_eq!(encoded, again, "what is called canonical is not");
    words
}

/// Runs the target.
pub fn run(data: &[u8]) {
    let choices = &mut Choices(data);
    let mut limits = Limits::default();
    let shape = choices.byte();
    limits.unauthenticated = shape & 1 != 0;
    limits.annotations = shape & 2 != 0;
    if shape & 4 != 0 {
        (limits.bulk_len_max, limits.args_max, limits.line_len_max) = (40, 6, 30);
    }
    let (room, at_once) = ([32, 100, 4096][choices.below(3)], 1 + choices.below(4));
    let step = 1 + choices.below(300);
    let cut = choices.below(1 << 16);
    let bytes = &choices.0[..choices.0.len().min(4 * BIG)];
    let plain = How { limits: &limits, room: 64 << 10, at_once: usize::MAX, direct: false };
    let whole = parse([bytes].into_iter(), &plain);
    let (head, tail) = bytes.split_at(cut.min(bytes.len()));
    for direct in [false, true] {
        let odd = How { limits: &limits, room, at_once, direct };
        assert_eq!(parse([head, tail].into_iter(), &How { direct, ..plain }), whole);
        assert_eq!(parse(bytes.chunks(step), &odd), whole, "pieces of {step}");
    }
    if bytes.len() <= 1000 {
        assert_eq!(parse(bytes.chunks(1), &plain), whole, "byte by byte");
    }
}

/// Examples.
pub fn seeds() -> Vec<Vec<u8>> {
    let big = BIG + 5;
    let mut body = format!("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n${big}\r\n").into_bytes();
    body.resize(body.len() + big, b'x');
    body.extend_from_slice(b"\r\nPING\r\n");
    let streams = [
        b"*2\r\n$3\r\nGET\r\n$3\r\nkey\r\n*1\r\n$4\r\nPING\r\n".to_vec(),
        b"PING\r\n\r\nSET \"a b\" 'c\\'' \"\\x41\\n\"\nGET x\n".to_vec(),
        b"*1\rx$4\ryPINGzz*0\r\n*-1\r\n#note here\r\nPING\0x\r\n".to_vec(),
        b"*2\r\n$4\r\nECHO\r\n$10\r\n0123456789\r\n*99999999999\r\n".to_vec(),
        b"*1\r\n$-1\r\n".to_vec(),
        body,
    ];
    let heads = [[0, 0, 0, 0, 7, 0, 9], [4, 1, 1, 0, 0, 0, 30], [3, 2, 3, 1, 1, 1, 1]];
    heads.iter().flat_map(|head| streams.iter().map(|stream| [&head[..], stream].concat())).collect()
}
