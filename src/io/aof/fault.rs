//! What the machine did wrong, said with the file and the action: "cannot open /data/x: Permission denied".

use std::io;
use std::path::Path;

/// Completes an error of the operating system; for `map_err`. The kind of the error stays.
pub(super) fn on<'a>(action: &'a str, path: &'a Path) -> impl Fn(io::Error) -> io::Error + 'a {
    move |error| io::Error::new(error.kind(), format!("cannot {action} {}: {error}", path.display()))
}

/// Does it once more for as long as a signal gets in between.
pub(super) fn again<T>(mut act: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match act() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}
