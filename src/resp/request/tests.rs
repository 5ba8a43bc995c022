//! Scripts of bytes in and requests out, at every cut.

use proptest::prelude::*;

use super::super::direct::BIG_START;
use super::*;
use crate::resp::batch::SPANS_KEPT_MAX;

/// A seeded stream of numbers, good enough to cut bytes at odd places.
struct Cuts(u64);

impl Cuts {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 33) as usize % bound.max(1)
    }
}

type Requests = Vec<Vec<Vec<u8>>>;

/// What is sent, the requests it holds, and the error behind them.
type Row<'a> = (&'a str, &'a [&'a [&'a str]], Option<ProtocolError>);

/// What a peer's bytes came to.
#[derive(Debug, PartialEq, Default)]
struct Outcome {
    requests: Requests,
    error: Option<ProtocolError>,
}

impl Outcome {
    fn of(requests: &[&[&str]], error: Option<ProtocolError>) -> Outcome {
        let words = |words: &&[&str]| words.iter().map(|word| word.as_bytes().to_vec()).collect();
        Outcome { requests: requests.iter().map(words).collect(), error }
    }
}

/// Sends the pieces as one read each (or more, if the space is smaller), `requests_max` requests a turn.
fn run<'a>(
    pieces: impl IntoIterator<Item = &'a [u8]>,
    requests_max: usize,
    input: &mut Input,
    limits: &Limits,
) -> (Outcome, Parser) {
    let (mut parser, mut batch, mut outcome) = (Parser::default(), Batch::default(), Outcome::default());
    for mut piece in pieces {
        while !piece.is_empty() || parser.has_backlog() {
            parser.begin(input);
            if !parser.has_backlog() {
                piece = &piece[parser.feed(input, piece)..];
            }
            let parsed = parser.parse(input, &mut batch, requests_max, limits);
            assert!(parsed.len() <= requests_max);
            parsed.iter().for_each(|args| outcome.requests.push(check(args)));
            outcome.error = parsed.error();
            parser.finish(input);
            assert!(input.is_empty());
        }
        if outcome.error.is_some() {
            break;
        }
    }
    (outcome, parser)
}

/// The arguments, after the ways of reaching and encoding them have been compared.
fn check(args: Args<'_>) -> Vec<Vec<u8>> {
    let words: Vec<Vec<u8>> = args.iter().map(<[u8]>::to_vec).collect();
    let mut encoded = Vec::new();
    args.encode_into(&mut encoded);
    assert_eq!(encoded.len(), args.encoded_len());
    let owned = Request::new(words.iter().map(Vec::as_slice));
    let mut expected = Vec::new();
    owned.args().encode_into(&mut expected);
    assert_eq!(encoded, expected, "raw bytes are not canonical");
    (0..args.len()).for_each(|i| assert_eq!(args.get(i), words[i]));
    words
}

fn whole(bytes: &[u8], limits: &Limits) -> Outcome {
    run([bytes], usize::MAX, &mut Input::new(64 * 1024), limits).0
}

fn bulk(len: usize) -> Vec<u8> {
    let body: Vec<u8> = (0..len).map(|i| b"abc\r\n$*1"[i % 8]).collect();
    [format!("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n${len}\r\n").as_bytes(), &body, b"\r\n"].concat()
}

/// Pipelines that between them reach every stage.
fn corpus() -> Vec<Vec<u8>> {
    let get = b"*2\r\n$3\r\nGET\r\n$3\r\nkey\r\n".to_vec();
    let many = [b"*150\r\n".to_vec(), b"$1\r\nx\r\n".repeat(150)].concat();
    vec![
        get.repeat(5),
        [&get[..], b"PING\r\n\r\n  \n*0\r\n*-1\r\nECHO 'a b' \"c\\x41\\n\"\n", &get].concat(),
        b"*1\rx$4\ryPINGzzPING\n*1\r\n$0\r\n\r\n*1\r\n$1\r\n\r\r\n".to_vec(),
        [&get[..], b"*1\r\n:4\r\nPING\r\n"].concat(),
        [&get[..], b"*1\r\n$-1\r\n", &get].concat(),
        [&get[..], b"PING \"x\r\n", &get].concat(),
        b"*3\r\n$12\r\n0123456789ab\r\n$123\r\n".iter().copied().chain([b'z'; 130]).collect(),
        [&get[..], b"*01\r\n"].concat(),
        // A long header cut before its end, and then one that is shorter than what was searched of the first.
        [b"*3\r\n$123\r\n", &[b'z'; 123][..], b"\r\n$1\r\nx\r\n$1\r\ny\r\n"].concat(),
        many,
        [bulk(1000), bulk(1), bulk(40), get.clone()].concat(),
    ]
}

#[test]
fn every_cut_gives_the_same_requests() {
    let limits = Limits::default();
    let mut input = Input::new(64 * 1024);
    for bytes in corpus() {
        let expected = whole(&bytes, &limits);
        for cut in 0..=bytes.len() {
            let (got, _) = run([&bytes[..cut], &bytes[cut..]], usize::MAX, &mut input, &limits);
            assert_eq!(got, expected, "{} cut at {cut}", bytes.escape_ascii());
        }
        let (got, _) = run(bytes.chunks(1), 1, &mut input, &limits);
        assert_eq!(got, expected, "{} byte by byte", bytes.escape_ascii());
    }
}

#[test]
fn big_arguments_survive_any_cut() {
    let limits = Limits::default();
    let mut cuts = Cuts(7);
    let mut input = Input::new(64 * 1024);
    let mut bytes = Vec::new();
    let sizes = [BIG - 1, BIG, BIG + 1, 65_536, 70_000, 3, 300_000, 1_500_000];
    sizes.iter().for_each(|&len| bytes.extend(bulk(len)));
    bytes.extend_from_slice(
        &[b"*3\r\n$40000\r\n", &[b'a'; 40000][..], b"\r\n$33000\r\n", &[b'b'; 33000]].concat(),
    );
    bytes.extend_from_slice(b"\r\n$1\r\nc\r\nPING\r\n");
    let expected = whole(&bytes, &limits);
    assert_eq!(expected.requests.len(), sizes.len() + 2);
    for round in 0..60 {
        let (mut pieces, mut rest) = (Vec::new(), &bytes[..]);
        while !rest.is_empty() {
            let bound = [100_000, 65_536, 20_000, 3_000][round % 4];
            let (piece, behind) = rest.split_at(rest.len().min(1 + cuts.below(bound)));
            pieces.push(piece);
            rest = behind;
        }
        let (got, parser) = run(pieces, 1 + cuts.below(3), &mut input, &limits);
        assert!(got == expected, "round {round}");
        assert_eq!((parser.buffered(), parser.memory()), (0, 0));
    }
    // Around the edges of the header, the body and the line end behind it.
    let bytes = bulk(BIG);
    let expected = whole(&bytes, &limits);
    let head = bytes.len() - BIG - 2;
    for cut in (0..head + 4).chain(bytes.len() - 4..bytes.len()) {
        let (got, _) = run([&bytes[..cut], &bytes[cut..]], 9, &mut input, &limits);
        assert!(got == expected, "cut at {cut}");
    }
}

#[test]
fn a_big_argument_is_read_into_its_own_buffer() {
    let (mut parser, mut batch, limits) = (Parser::default(), Batch::default(), Limits::default());
    let mut input = Input::new(64 * 1024);
    let bytes = bulk(1_000_000);
    let mut rest = &bytes[..];
    let mut turns = 0;
    while !rest.is_empty() {
        parser.begin(&mut input);
        rest = &rest[parser.feed(&mut input, rest)..];
        turns += 1;
        let parsed = parser.parse(&mut input, &mut batch, 10, &limits);
        if let Some(args) = parsed.iter().next() {
            let shared = args.shared(2).expect("a buffer of its own");
            assert_eq!(shared.len(), 1_000_000);
            assert_eq!((args.shared(0), args.raw()), (None, None));
            assert!(args.from(2).shared(0).is_some());
            assert_eq!(parsed.position(0), bytes.len() as u64);
            assert!(rest.is_empty());
        }
        parser.finish(&mut input);
        assert!(parser.memory() <= 4 * (bytes.len() - rest.len()) + BIG_START, "{}", parser.memory());
    }
    assert!(turns < 16, "{turns}");
}

#[test]
fn hostile_and_odd_bytes_are_answered_as_by_redis() {
    use ProtocolError::*;
    let limits = Limits::default();
    let line = |prefix: &str, len: usize, suffix: &str| [prefix, &"1".repeat(len), suffix].concat();
    let ping: &[&[&str]] = &[&["PING"]];
    let rows: &[Row<'_>] = &[
        ("*0\r\nPING\r\n", ping, None),
        ("*-1\r\nPING\r\n", ping, None),
        ("*-99999999999\r\nPING\r\n", ping, None),
        ("*-9223372036854775808\r\nPING\r\n", ping, None),
        ("*-9223372036854775809\r\n", &[], Some(InvalidMultibulkLength)),
        ("*\r\n", &[], Some(InvalidMultibulkLength)),
        ("*1x\r\n", &[], Some(InvalidMultibulkLength)),
        ("*01\r\n$4\r\nPING\r\n", &[], Some(InvalidMultibulkLength)),
        ("*+1\r\n", &[], Some(InvalidMultibulkLength)),
        ("* 1\r\n", &[], Some(InvalidMultibulkLength)),
        ("*-0\r\n", &[], Some(InvalidMultibulkLength)),
        ("*2147483647\r\n", &[], None),
        ("*2147483648\r\n", &[], Some(InvalidMultibulkLength)),
        ("*-1\nPING\r\n", &[], Some(InvalidMultibulkLength)),
        ("*1\r\n$-1\r\n", &[], Some(InvalidBulkLength)),
        ("*1\r\n$+4\r\n", &[], Some(InvalidBulkLength)),
        ("*1\r\n$04\r\n", &[], Some(InvalidBulkLength)),
        ("*1\r\n$-0\r\n", &[], Some(InvalidBulkLength)),
        ("*1\r\n$18446744073709551615\r\n", &[], Some(InvalidBulkLength)),
        ("*1\r\n$9223372036854775807\r\n", &[], Some(InvalidBulkLength)),
        ("*1\r\n$536870913\r\n", &[], Some(InvalidBulkLength)),
        ("*1\r\n$536870912\r\n", &[], None),
        ("*1\r\n:4\r\n", &[], Some(ExpectedDollar(b':'))),
        ("*1\r\n\r\n", &[], Some(ExpectedDollar(b'\r'))),
        ("*1\r\n\0\r\n", &[], Some(ExpectedDollar(0))),
        ("*1\r\nx", &[], None),
        ("*1\r\n$4\r\nPINGxx*1\r\n$4\r\nPING\r\n", &[&["PING"], &["PING"]], None),
        ("*1\rx$4\r\nPING\r\n", ping, None),
        ("*1\r\n$4\rxPING\r\n", ping, None),
        ("*1\n$4\nPING\n", &[], None),
        ("\r\n\nPING\r\n", ping, None),
        (" \r\nPING\n", ping, None),
        ("PING\r\r\n", ping, None),
        ("ECHO a\rb\r\n", &[&["ECHO", "a", "b"]], None),
        ("ECHO a\0b\r\n", &[&["ECHO", "a"]], None),
        ("ECHO \"a\r\n", &[], Some(UnbalancedQuotes)),
        ("ECHO \"a\"b\r\n", &[], Some(UnbalancedQuotes)),
        ("ECHO 'a b'\r\n", &[&["ECHO", "a b"]], None),
        ("\"\"\r\n", &[&[""]], None),
        ("PING\r\n*1\r\n$x\r\nPING\r\n", ping, Some(InvalidBulkLength)),
        ("*2\r\n$4\r\nECHO\r\n$0\r\n\r\n", &[&["ECHO", ""]], None),
        ("#TS:1 \"\r\n", &[], Some(UnbalancedQuotes)),
        (&line("*", 65535, ""), &[], None),
        (&line("*", 65536, ""), &[], Some(TooBigMultibulkCount)),
        (&line("*", 65536, "\r\n"), &[], Some(TooBigMultibulkCount)),
        (&line("*", 65535, "\r\n"), &[], Some(InvalidMultibulkLength)),
        (&line("*1\r\n$", 65535, ""), &[], None),
        (&line("*1\r\n$", 65536, ""), &[], Some(TooBigBulkCount)),
        (&line("*1\r\n", 65537, ""), &[], Some(TooBigBulkCount)),
        (&line("", 65536, ""), &[], None),
        (&line("", 65537, ""), &[], Some(TooBigInlineRequest)),
        (&line("", 70000, "\r\n"), &[], Some(TooBigInlineRequest)),
    ];
    let mut input = Input::new(64 * 1024);
    for (bytes, requests, error) in rows {
        let expected = Outcome::of(requests, *error);
        let name = &bytes[..bytes.len().min(40)];
        assert_eq!(whole(bytes.as_bytes(), &limits), expected, "{name:?}");
        let (got, _) = run(bytes.as_bytes().chunks(1), 1, &mut input, &limits);
        assert_eq!(got, expected, "{name:?} byte by byte");
    }
}

#[test]
fn who_has_not_said_the_password_gets_little() {
    use ProtocolError::*;
    let limits = Limits { unauthenticated: true, ..Limits::default() };
    for (bytes, error) in [
        ("*10\r\n", None),
        ("*11\r\n", Some(UnauthenticatedMultibulkLength)),
        ("*11x\r\n", Some(InvalidMultibulkLength)),
        ("*1\r\n$16384\r\n", None),
        ("*1\r\n$16385\r\n", Some(UnauthenticatedBulkLength)),
        ("*1\r\n$536870913\r\n", Some(InvalidBulkLength)),
    ] {
        assert_eq!(whole(bytes.as_bytes(), &limits), Outcome::of(&[], error), "{bytes:?}");
    }
    let (outcome, _) = run([&bulk(17_000)[..]], 1, &mut Input::new(64 * 1024), &limits);
    assert_eq!(outcome.error, Some(UnauthenticatedBulkLength));
}

#[test]
fn a_small_limit_holds_for_arguments_that_arrive_whole() {
    let limits = Limits { bulk_len_max: 5, args_max: 2, ..Limits::default() };
    assert_eq!(
        whole(b"*1\r\n$5\r\nHELLO\r\n*1\r\n$6\r\nHELLO!\r\n", &limits),
        Outcome::of(&[&["HELLO"]], Some(ProtocolError::InvalidBulkLength))
    );
    assert_eq!(
        whole(b"*3\r\n$1\r\n", &limits),
        Outcome::of(&[], Some(ProtocolError::InvalidMultibulkLength))
    );
}

#[test]
fn raw_bytes_are_given_only_when_they_are_canonical() {
    let limits = Limits::default();
    for (bytes, expected) in [
        (&b"*1\r\n$4\r\nPING\r\n"[..], true),
        (b"*2\r\n$4\r\nECHO\r\n$0\r\n\r\n", true),
        (b"*1\rx$4\r\nPING\r\n", false),
        (b"*1\r\n$4\rxPING\r\n", false),
        (b"*1\r\n$4\r\nPINGxx", false),
        (b"*1\r\n$4\r\nPING\r\r", false),
        (b"PING\r\n", false),
    ] {
        for cut in 0..bytes.len() {
            let (mut parser, mut batch, mut input) = (Parser::default(), Batch::default(), Input::new(1024));
            parser.begin(&mut input);
            parser.feed(&mut input, &bytes[..cut]);
            assert!(parser.parse(&mut input, &mut batch, 9, &limits).is_empty());
            parser.finish(&mut input);
            parser.begin(&mut input);
            parser.feed(&mut input, &bytes[cut..]);
            let parsed = parser.parse(&mut input, &mut batch, 9, &limits);
            assert_eq!(parsed.get(0).raw(), expected.then_some(bytes), "{}", bytes.escape_ascii());
            assert_eq!(parsed.get(0).from(0).raw().is_some(), expected);
            assert!(parsed.get(0).from(1).raw().is_none());
            assert_eq!(parsed.position(0), bytes.len() as u64);
        }
    }
}

#[test]
fn annotations_of_a_log_are_lines_as_they_stand() {
    let limits = Limits { annotations: true, ..Limits::default() };
    let bytes = b"#TS:1 \" it's\r\n*1\r\n$4\r\nPING\r\n# x\n";
    let (mut parser, mut batch, mut input) = (Parser::default(), Batch::default(), Input::new(1024));
    parser.begin(&mut input);
    parser.feed(&mut input, bytes);
    let parsed = parser.parse(&mut input, &mut batch, 9, &limits);
    let words: Vec<_> = parsed.iter().map(|args| (args.len(), args.get(0))).collect();
    assert_eq!(words, [(1, &b"#TS:1 \" it's"[..]), (1, b"PING"), (1, b"# x")]);
    assert_eq!((0..3).map(|i| parsed.position(i)).collect::<Vec<_>>(), [14, 28, 32]);
}

#[test]
fn an_error_stays_an_error() {
    let (mut parser, mut batch, mut input) = (Parser::default(), Batch::default(), Input::new(1024));
    let limits = Limits::default();
    for bytes in ["PING\r\nPING\r\n*x\r\nPING\r\n", "PING\r\n"] {
        parser.begin(&mut input);
        parser.feed(&mut input, bytes.as_bytes());
        let parsed = parser.parse(&mut input, &mut batch, 1, &limits);
        assert!(parsed.error().is_none() || parsed.is_empty());
        while parser.has_backlog() {
            parser.parse(&mut input, &mut batch, 1, &limits);
        }
        let parsed = parser.parse(&mut input, &mut batch, 1, &limits);
        assert_eq!((parsed.len(), parsed.error()), (0, Some(ProtocolError::InvalidMultibulkLength)));
        parser.finish(&mut input);
    }
    assert_eq!(parser.buffered(), 0);
}

#[test]
fn announcements_take_no_memory() {
    let mut input = Input::new(64 * 1024);
    for bytes in
        ["*2147483647\r\n$1\r\nx\r\n", "*2\r\n$536870912\r\n", "*1000000\r\n$3\r\nSET\r\n$400000000\r\nabc"]
    {
        let (_, parser) = run([bytes.as_bytes()], 100, &mut input, &Limits::default());
        assert!(parser.memory() <= BIG_START + 1024, "{bytes:?}: {}", parser.memory());
        assert!(0 < parser.args_pending() && 0 < parser.buffered());
    }
    assert!(size_of::<Parser>() <= 72, "{}", size_of::<Parser>());
}

#[test]
fn a_backlog_is_worked_off_where_it_lies() {
    let bytes = b"*2\r\n$3\r\nGET\r\n$16\r\n0123456789abcdef\r\n".repeat(1000);
    let (mut parser, mut batch, mut input) = (Parser::default(), Batch::default(), Input::new(64 * 1024));
    parser.begin(&mut input);
    assert_eq!(parser.feed(&mut input, &bytes), bytes.len());
    let (mut seen, mut end) = (0, None);
    loop {
        let parsed = parser.parse(&mut input, &mut batch, 3, &Limits::default());
        seen += parsed.len();
        parser.finish(&mut input);
        if !parser.has_backlog() {
            break;
        }
        let here = parser.pending.waiting().as_ptr_range().end;
        assert_eq!(*end.get_or_insert(here), here, "the rest was copied after {seen} requests");
        parser.begin(&mut input);
    }
    assert_eq!((seen, parser.memory()), (1000, 0));
}

#[test]
fn a_request_of_a_million_arguments_is_read_once() {
    let bytes = [b"*1000000\r\n".to_vec(), b"$1\r\nx\r\n".repeat(1_000_000)].concat();
    let mut input = Input::new(64 * 1024);
    let (mut parser, mut batch, limits) = (Parser::default(), Batch::default(), Limits::default());
    let mut seen = 0;
    for piece in bytes.chunks(10_000) {
        parser.begin(&mut input);
        assert_eq!(parser.feed(&mut input, piece), piece.len());
        seen += parser.parse(&mut input, &mut batch, 9, &limits).iter().map(Args::len).sum::<usize>();
        parser.finish(&mut input);
    }
    assert_eq!((seen, parser.memory()), (1_000_000, 0));
    batch.clear();
    assert!(batch.spans.capacity() <= SPANS_KEPT_MAX);
}

/// Bytes that look like the protocol often enough to get deep into it.
fn hostile() -> impl Strategy<Value = Vec<u8>> {
    let token = prop_oneof![
        any::<u8>().prop_map(|byte| vec![byte]),
        prop::sample::select(vec![
            "\r\n",
            "\n",
            "\r",
            "*",
            "$",
            "*1\r\n",
            "*2\r\n",
            "$3\r\nabc\r\n",
            "$0\r\n\r\n"
        ])
        .prop_map(|text| text.as_bytes().to_vec()),
        prop::sample::select(vec![
            "PING\r\n",
            "'",
            "\"",
            "\\",
            " ",
            "$10\r\n",
            "$99999\r\n",
            "*-1\r\n",
            "*3\r\n$1\r\nx\r\n"
        ])
        .prop_map(|text| text.as_bytes().to_vec()),
        (0i64..200_000).prop_map(|n| format!("${n}\r\n").into_bytes()),
        (0usize..70_000).prop_map(|n| vec![b'a'; n]),
    ];
    prop::collection::vec(token, 0..40).prop_map(|tokens| tokens.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) })]

    #[test]
    fn random_bytes_never_hurt(bytes in hostile(), seed in any::<u64>(), size in 1usize..100_000) {
        let mut cuts = Cuts(seed);
        let limits = Limits::default();
        let (mut pieces, mut rest) = (Vec::new(), &bytes[..]);
        while !rest.is_empty() {
            let bound = 1 << cuts.below(17);
            let (piece, behind) = rest.split_at(rest.len().min(1 + cuts.below(bound)));
            pieces.push(piece);
            rest = behind;
        }
        let (got, parser) = run(pieces, 1 + cuts.below(5), &mut Input::new(size), &limits);
        prop_assert!(parser.memory() <= 8 * bytes.len() + BIG_START + 1024, "{}", parser.memory());
        prop_assert_eq!(got, whole(&bytes, &limits));
    }
}
