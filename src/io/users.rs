//! The file of users, and passwords that nobody can guess.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use crate::command::acl::file;
use crate::engine::Engine;
use crate::io::host::Host;
use crate::io::sys;
use crate::state::State;

/// Bytes of a file of users beyond which nobody reads it.
const FILE_LEN_MAX: u64 = 64 * 1024 * 1024;

/// The users with whom the server starts: those of the configuration, or those of the file it names.
///
/// # Errors
///
/// The text for the log.
pub fn load_at_start(engine: &mut Engine) -> Result<(), String> {
    file::take_configured(&mut engine.state)?.iter().for_each(|warning| log::info!("{warning}"));
    if engine.state.settings.aclfile.is_empty() {
        return Ok(());
    }
    load(&mut engine.state).map_err(|errors| format!("Aborting the start because of ACL errors: {errors}"))
}

/// Reads the file of users; all of it counts, or nothing has changed.
fn load(state: &mut State) -> Result<(), String> {
    let path = &state.settings.aclfile;
    let text = read(Path::new(path))
        .map_err(|error| format!("Error loading ACLs, opening file '{path}': {}", sys::reason(&error)))?;
    file::take(state, &text)
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    let read = File::open(path)?.take(FILE_LEN_MAX).read_to_end(&mut text)?;
    if read as u64 == FILE_LEN_MAX {
        return Err(io::Error::from(io::ErrorKind::FileTooLarge));
    }
    Ok(text)
}

/// Puts a file in the place of another as a whole or not at all.
pub fn replace(path: &Path, text: &[u8]) -> io::Result<()> {
    let temporary = PathBuf::from(format!("{}.{}.tmp", path.display(), std::process::id()));
    let write = || {
        let mut file = File::create(&temporary)?;
        // Secrets are in it: whoever may not read the old one shall not read the new one.
        if let Ok(metadata) = fs::metadata(path) {
            file.set_permissions(metadata.permissions())?;
        }
        file.write_all(text)?;
        file.sync_all()?;
        fs::rename(&temporary, path)?;
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        File::open(parent.unwrap_or(Path::new(".")))?.sync_all()
    };
    let written = write();
    if written.is_err() {
        // What is left of the attempt is of no use to anybody.
        fs::remove_file(&temporary).ok();
    }
    written
}

impl Host {
    /// `ACL LOAD`.
    pub(super) fn load_users(&mut self) {
        match load(&mut self.engine.state) {
            Ok(()) => self.engine.reply().ok(),
            Err(errors) => self.engine.reply_error(&format!("ERR {errors}")),
        }
    }

    /// `ACL SAVE`.
    pub(super) fn save_users(&mut self) {
        let state = &self.engine.state;
        let written = replace(Path::new(&state.settings.aclfile), &file::write(state));
        match written {
            Ok(()) => self.engine.reply().ok(),
            Err(error) => {
                log::warn!("Writing the ACL file {}: {error}", self.engine.state.settings.aclfile);
                self.engine.reply_error(
                    "ERR There was an error trying to save the ACLs. Please check the server logs for more information",
                );
            }
        }
    }

    /// `ACL GENPASS`.
    pub(super) fn make_password(&mut self, digits: usize) {
        let mut bytes = vec![0; digits.div_ceil(2)];
        match File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut bytes)) {
            Ok(()) => {
                let text: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
                self.engine.reply().bulk(&text.as_bytes()[..digits]);
            }
            Err(error) => self.engine.reply_error(&format!("ERR /dev/urandom: {error}")),
        }
    }
}
