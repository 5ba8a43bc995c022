//! Configuration text: what is accepted can be written back and is accepted again as the same; what is refused leaves
//! the settings as they were.

use kvick::config::{Settings, from_command_line, load, rewrite};

/// Runs the target.
pub fn run(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let arguments: Vec<String> = text.split('\n').take(20).map(str::to_owned).collect();
    check(&from_command_line(&arguments).text);
    check(&text);
}

fn check(text: &str) {
    let mut settings = Settings::default();
    let mut depth = 0;
    let include = &mut |_: &str| {
        depth += 1;
        if depth < 4 { Ok(text.to_owned()) } else { Err("enough".to_owned()) }
    };
    if let Err(problem) = load(text, &mut settings, include) {
        assert!(settings == Settings::default(), "a refused text changes something");
        assert!(!problem.to_string().is_empty());
        return;
    }
    if settings == Settings::default() || !settings.rename_command.is_empty() || 0 < depth {
        return;
    }
    settings.user.clear();
    let written = rewrite(text, &settings, &[]);
    let mut again = Settings::default();
    let nothing = &mut |_: &str| Err("nothing is included".to_owned());
    load(&written, &mut again, nothing).unwrap_or_else(|problem| panic!("{problem}\nof\n{written}"));
    assert!(again == settings, "{text}\nis written\n{written}");
    // Where some of several lines were, others may be then, and the first ones only at the next time.
    let settled = rewrite(&written, &again, &[]);
    assert_eq!(rewrite(&settled, &again, &[]), settled, "{text}");
}

/// Examples.
pub fn seeds() -> Vec<Vec<u8>> {
    let texts = [
        "port 7000\nsave 900 1 300 10\nappendonly no\nmaxmemory 100mb\nmaxmemory-policy allkeys-lru\n",
        "# Comment\n\nbind 127.0.0.1 -::1\nrequirepass \"a b\\x00\"\nclient-output-buffer-limit pubsub 32mb 8mb 60\n",
        "notify-keyspace-events KEA\nuser alice on >x ~* +@all\nrename-command GET FETCH\ninclude x.conf\n",
        "--port\n7000\n--save\n\n--dir\na b\n-",
        "list-max-listpack-size -2\nhash-max-ziplist-entries 4\nlatency-tracking-info-percentiles 50 99.9\n",
        "appendfsync always\nmaxmemory-clients 5%\nunixsocket /tmp/x\nproc-title-template {title}\nhz 10\n",
    ];
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}
