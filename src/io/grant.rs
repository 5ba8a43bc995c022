//! What commands ask for, carried out.
//!
//! Whoever asks has not replied yet: each wish ends in a reply, or in the client being marked as waiting.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::command::acl::file;
use crate::config;
use crate::config::Settings;
use crate::engine::snapshot::rdb::write_rdb;
use crate::io::host::{Host, Waiting, Wish};
use crate::io::listen;
use crate::io::load::{Quietly, Rdb, Replay};
use crate::io::rdb;
use crate::io::tls;
use crate::io::users;
use crate::io::{logger, sys};
use crate::state::ask::Ask;
use crate::state::session::{Closing, Wait};

const UNBLOCKED: &str = "UNBLOCKED client unblocked via CLIENT UNBLOCK";

impl Host {
    /// Carries out what the last command asks for.
    #[cold]
    pub(super) fn grant(&mut self, session: usize) {
        let Some(ask) = self.engine.state.ask.take() else { return };
        match ask {
            Ask::RewriteLog { .. } => match self.store.ask_for_rewrite(&mut self.engine.state) {
                Ok(text) => self.engine.reply().status(text),
                Err(text) => self.engine.reply_error(text),
            },
            Ask::Save => self.save(),
            Ask::SaveInBackground { schedule } => self.save_in_background(schedule),
            Ask::CancelSave => self.cancel_save(),
            Ask::Backup { directory } => self.back_up(session, &directory),
            Ask::ApplySettings { changed, before } => self.apply_settings(&changed, *before),
            Ask::RewriteConfig => {
                let done =
                    self.rewrite_config().map_err(|error| format!("ERR Rewriting config file: {error}"));
                self.reply_done(done);
            }
            Ask::LoadUsers => self.load_users(),
            Ask::SaveUsers => self.save_users(),
            Ask::Password { digits } => self.make_password(digits),
            Ask::Shutdown { force, save, .. } => {
                if self.shut_down(force, save) {
                    self.engine.state.sessions[session].closing = Closing::AfterReply;
                } else {
                    self.engine.reply_error("ERR Errors trying to SHUTDOWN. Check logs.");
                }
            }
            Ask::AbortShutdown => self.engine.reply_error("ERR No shutdown in progress."),
            Ask::Sleep { micros } => {
                std::thread::sleep(Duration::from_micros(micros));
                self.engine.reply().ok();
            }
            Ask::ShiftClock { by_ms } => {
                self.clock.shift(by_ms);
                self.engine.reply().ok();
            }
            Ask::Reload { save, .. } => {
                let done = self.reload(save).map_err(|error| format!("ERR Error trying to load: {error}"));
                self.reply_done(done);
            }
            // A transaction waits for nothing.
            Ask::WaitForSync { .. } if self.engine.state.transaction.is_some() => {
                let batch = self.engine.state.sessions[session].last_write_batch;
                self.reply_synced(batch);
            }
            Ask::WaitForReplicas { .. } if self.engine.state.transaction.is_some() => {
                self.engine.reply().integer(0);
            }
            Ask::WaitForSync { local, replicas, timeout_ms } => {
                self.wait_for_sync(session, local, replicas, timeout_ms);
            }
            Ask::WaitForReplicas { timeout_ms } => {
                let until_ms = self.deadline(timeout_ms);
                self.wait(session, Wish::Replicas, until_ms);
            }
            Ask::Crash { fault: true } => sys::fault(),
            Ask::Crash { fault: false } => panic!("DEBUG PANIC called"),
            Ask::Restart { crash, delay_ms } => self.restart(crash, delay_ms),
            Ask::Purge => {
                crate::base::memory::collect();
                self.engine.reply().ok();
            }
        }
    }

    fn save(&mut self) {
        if self.engine.state.persistence.save_in_progress {
            self.engine.reply_error("ERR Background save already in progress");
        } else if self.snapshots.save(&mut self.engine).is_ok() {
            self.engine.reply().ok();
        } else {
            // Redis says no more than this; the reason is in the server's log.
            self.engine.reply_error("ERR");
        }
    }

    fn save_in_background(&mut self, schedule: bool) {
        let figures = &mut self.engine.state.persistence;
        if figures.save_in_progress {
            self.engine.reply_error("ERR Background save already in progress");
        } else if figures.rewrite_in_progress && schedule {
            figures.save_scheduled = true;
            self.engine.reply().status("Background saving scheduled");
        } else if figures.rewrite_in_progress {
            self.engine.reply_error(
                "ERR Another child process is active (AOF?): can't BGSAVE right now. Use BGSAVE SCHEDULE in order to \
                 schedule a BGSAVE whenever possible.",
            );
        } else {
            let now_ms = self.clock.mono_ms();
            match self.snapshots.start(&mut self.engine, self.store.claim(), now_ms) {
                Ok(()) => self.engine.reply().status("Background saving started"),
                Err(_) => self.engine.reply_error("ERR"),
            }
        }
    }

    fn cancel_save(&mut self) {
        let scheduled = std::mem::take(&mut self.engine.state.persistence.save_scheduled);
        if self.snapshots.end_child(&mut self.engine) {
            self.engine.reply().status("Background saving cancelled");
        } else if scheduled {
            self.engine.reply().status("Scheduled background saving cancelled");
        } else {
            self.engine.reply_error("ERR Background saving is currently not in progress or scheduled");
        }
    }

    fn back_up(&mut self, session: usize, directory: &Path) {
        let now_ms = self.clock.mono_ms();
        match self.store.ask_for_backup(&mut self.engine, directory, now_ms) {
            // Nobody ends this wait but the backup itself, `CLIENT UNBLOCK` neither.
            Ok(()) => self.enlist(session, Wish::Backup, u64::MAX),
            Err(text) => self.engine.reply_error(text),
        }
    }

    fn reply_done(&mut self, done: Result<(), String>) {
        match done {
            Ok(()) => self.engine.reply().ok(),
            Err(text) => self.engine.reply_error(&text),
        }
    }

    /// `CONFIG SET`: the settings are changed already; what they are for is done here, or they are put back.
    fn apply_settings(&mut self, changed: &[&'static str], before: Settings) {
        self.engine.apply_settings();
        for (index, name) in changed.iter().enumerate() {
            let Err(why) = self.apply_setting(name, &before) else { continue };
            let failed = std::mem::replace(&mut self.engine.state.settings, before);
            self.engine.apply_settings();
            for undone in &changed[..index] {
                if let Err(why) = self.apply_setting(undone, &failed) {
                    log::warn!("CONFIG SET: '{undone}' could not be put back: {why}");
                }
            }
            let text = format!("ERR CONFIG SET failed (possibly related to argument '{name}') - {why}");
            self.engine.reply_error(&text);
            return;
        }
        self.engine.reply().ok();
    }

    fn apply_setting(&mut self, name: &str, before: &Settings) -> Result<(), String> {
        let now_ms = self.clock.mono_ms();
        match name {
            "appendonly" if self.engine.state.persistence.loading.is_some() => {
                Err("the append only file is being loaded".to_owned())
            }
            "appendonly" if self.engine.state.settings.appendonly => {
                self.store.switch_on(&mut self.engine, now_ms).map_err(|error| error.to_string())
            }
            "appendonly" => {
                self.store.switch_off(&mut self.engine);
                Ok(())
            }
            "appendfsync" => {
                let policy = self.engine.state.settings.appendfsync;
                self.store.set_policy(policy, &mut self.engine.state);
                Ok(())
            }
            "maxmemory" => {
                let (limit, used) =
                    (self.engine.state.settings.maxmemory, self.engine.counted_memory() as u64);
                if limit != 0 && limit < used {
                    log::warn!(
                        "maxmemory is now {limit} bytes, but {used} are in use: keys will be evicted or writes \
                         refused, as maxmemory-policy has it"
                    );
                }
                Ok(())
            }
            "requirepass" => {
                self.engine.state.set_default_password();
                Ok(())
            }
            "loglevel" => {
                logger::set_level(self.engine.state.settings.loglevel);
                Ok(())
            }
            "port" | "bind" => self.reopen_listeners(before),
            "tls-port" => {
                self.update_tls()?;
                self.reopen_listeners(before)
            }
            "metrics-port" | "metrics-bind" => {
                let opened = self.web.open(&self.engine.state.settings);
                opened.inspect_err(|_| {
                    if let Err(why) = self.web.open(before) {
                        log::error!("The listeners for metrics could not be opened again: {why}");
                    }
                })
            }
            "maxclients" | "maxclients-reserved" => self.raise_open_files(),
            name if tls::uses(name) => self.update_tls(),
            // The files would stay where they are, and the next start would not find them.
            "dir" if self.store.is_on() => {
                Err("the append only file is on, and lies in this directory".to_owned())
            }
            "dir" => {
                std::env::set_current_dir(&self.engine.state.settings.dir)
                    .map_err(|error| sys::reason(&error))?;
                if let Ok(directory) = std::env::current_dir() {
                    self.engine.state.settings.dir = directory.to_string_lossy().into_owned();
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn raise_open_files(&self) -> Result<(), String> {
        let settings = &self.engine.state.settings;
        let wanted = u64::from(settings.maxclients) + u64::from(settings.maxclients_reserved) + 32;
        if sys::raise_open_files(wanted) < wanted {
            let why = "The operating system is not able to handle the specified number of clients, try with a lower number";
            return Err(why.to_owned());
        }
        Ok(())
    }

    fn update_tls(&mut self) -> Result<(), String> {
        self.configure_tls().map_err(|why| {
            log::warn!("{why}");
            "Unable to update TLS configuration. Check server logs.".to_owned()
        })
    }

    /// Opens the listeners of the new settings; the loop watches them from its next turn on.
    fn reopen_listeners(&mut self, before: &Settings) -> Result<(), String> {
        let settings = &self.engine.state.settings;
        let reopened = listen::reopen_tcp(&mut self.listeners, settings, before);
        self.relisten = true;
        reopened.map_err(|why| {
            log::warn!("{why}");
            let cause = if settings.port != before.port || settings.tls_port != before.tls_port {
                "Unable to listen on this port. Check server logs."
            } else {
                "Failed to bind to specified addresses."
            };
            cause.to_owned()
        })
    }

    /// `CONFIG REWRITE`: the file is replaced as a whole or not at all.
    fn rewrite_config(&mut self) -> io::Result<()> {
        let path = PathBuf::from(&self.engine.state.identity.config_file);
        let old = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(error),
        };
        let lines = file::config_lines(&self.engine.state);
        let text = config::rewrite(&old, &self.engine.state.settings, &lines);
        users::replace(&path, text.as_bytes())
    }

    /// `DEBUG RELOAD` and `DEBUG LOADAOF`. With the log off, what was written before is the snapshot.
    fn reload(&mut self, save: bool) -> io::Result<()> {
        if self.engine.state.persistence.loading.is_some() {
            return Err(io::Error::other("the append only file is being loaded"));
        }
        self.store.flush(&mut self.engine.state)?;
        let temporary = PathBuf::from(format!("temp-reload-{}.rdb", std::process::id()));
        let dump = if save {
            let written = fs::File::create(&temporary)
                .and_then(|mut file| write_rdb(&self.engine, true, &mut file, |_| {}));
            if let Err(error) = written {
                // A part of the data is of no use to anybody.
                fs::remove_file(&temporary).ok();
                return Err(error);
            }
            Some(temporary)
        } else if self.store.is_on() {
            self.store.may_be_read_again()?;
            None
        } else {
            let path = PathBuf::from(&self.engine.state.settings.dbfilename);
            path.metadata()?;
            Some(path)
        };
        // Without FLUSH the same: whatever is there is in the file too, and replaces itself.
        (0..self.engine.keys.databases().len()).for_each(|database| {
            self.engine.keys.flush(database);
        });
        let now = self.engine.now();
        // The client that asked is between two of its requests: its output is put aside for the time.
        let (out, resp3) = (std::mem::take(&mut self.engine.reply().out), self.engine.reply().resp3());
        let replay = Replay::begin(&mut self.engine, Rdb::default());
        let mut sink = Quietly { engine: &mut self.engine, replay: &replay };
        let read = match &dump {
            Some(path) => rdb::load(path, &mut sink),
            None => self.store.read_again(&mut sink),
        };
        replay.end(&mut self.engine, now);
        self.engine.reply().out = out;
        self.engine.reply().set_resp3(resp3);
        if let Some(path) = dump.filter(|_| save) {
            fs::remove_file(path)?;
        }
        read
    }

    fn wait_for_sync(&mut self, session: usize, local: u64, replicas: u64, timeout_ms: u64) {
        let state = &self.engine.state;
        let batch = state.sessions[session].last_write_batch;
        if (local == 0 || batch <= state.gate.synced()) && replicas == 0 {
            self.reply_synced(batch);
            return;
        }
        let until_ms = self.deadline(timeout_ms);
        self.wait(session, Wish::Sync { batch, replicas }, until_ms);
    }

    /// Monotonic milliseconds at which a wait ends that begins now; 0 = it does not.
    fn deadline(&self, timeout_ms: u64) -> u64 {
        if timeout_ms == 0 { u64::MAX } else { self.clock.mono_ms().saturating_add(timeout_ms) }
    }

    fn wait(&mut self, session: usize, wish: Wish, until_ms: u64) {
        self.engine.state.sessions[session].wait = Wait::Yes;
        self.enlist(session, wish, until_ms);
    }

    fn enlist(&mut self, session: usize, wish: Wish, until_ms: u64) {
        let id = self.engine.state.sessions[session].id;
        self.waiting.push(Waiting { session, id, wish, until_ms });
        self.engine.state.process.waiting_clients = self.waiting.len();
    }

    /// The reply of `WAITAOF`: local syncs and replicas that have what the client wrote.
    fn reply_synced(&mut self, batch: u64) {
        let synced = i64::from(self.store.is_on() && batch <= self.engine.state.gate.synced());
        let reply = self.engine.reply();
        reply.array(2);
        reply.integer(synced);
        reply.integer(0);
    }

    /// Replies to the clients whose wait is over and returns their sessions.
    pub fn unblocked(&mut self) -> Vec<usize> {
        // A wait began somewhere within its millisecond: it is over when that one is over, too, and never early.
        let now = self.clock.mono_micros().saturating_sub(999) / 1000;
        self.engine.end_waits(now);
        let mut ended = std::mem::take(&mut self.engine.state.waiting.ended);
        if self.waiting.is_empty() {
            return ended;
        }
        let synced = self.engine.state.gate.synced();
        let backed_up = self.store.take_backup();
        let sessions = &self.engine.state.sessions;
        self.waiting
            .retain(|waiting| sessions.get(waiting.session).is_some_and(|session| session.id == waiting.id));
        let is_over = |waiting: &Waiting| {
            let granted = matches!(waiting.wish, Wish::Sync { batch, replicas: 0 } if batch <= synced);
            let told = matches!(sessions[waiting.session].wait, Wait::TimedOut | Wait::Failed);
            let granted = granted || waiting.wish == Wish::Backup && backed_up.is_some();
            granted || told || waiting.until_ms <= now
        };
        let over: Vec<Waiting> = self.waiting.extract_if(.., |waiting| is_over(waiting)).collect();
        self.engine.state.process.waiting_clients = self.waiting.len();
        for waiting in &over {
            let wait = std::mem::take(&mut self.engine.state.sessions[waiting.session].wait);
            self.engine.enter(waiting.session);
            let mark = self.engine.reply().mark();
            match waiting.wish {
                _ if wait == Wait::Failed => self.engine.reply_error(UNBLOCKED),
                Wish::Sync { batch, .. } => self.reply_synced(batch),
                Wish::Replicas => self.engine.reply().integer(0),
                Wish::Backup => {
                    let result = backed_up.clone().unwrap_or(Ok(()));
                    self.reply_done(result.map_err(|why| format!("ERR Backup failed: {why}")));
                }
            }
            self.engine.silence(waiting.session, mark);
            self.engine.leave(waiting.session);
        }
        ended.extend(over.iter().map(|waiting| waiting.session));
        ended
    }

    /// `DEBUG RESTART` and `CRASH-AND-RECOVER`: the program is run again in place of this one.
    fn restart(&mut self, crash: bool, delay_ms: u64) {
        std::thread::sleep(Duration::from_millis(delay_ms));
        if !crash && let Err(error) = self.store.flush(&mut self.engine.state) {
            self.engine.reply_error(&format!("ERR failed to restart the server: {error}"));
            return;
        }
        self.snapshots.end_child(&mut self.engine);
        if !crash
            && !self.engine.state.settings.save.is_empty()
            && let Err(error) = self.snapshots.save(&mut self.engine)
        {
            self.engine.reply_error(&format!("ERR failed to restart the server: {error}"));
            return;
        }
        self.store.end_child(&mut self.engine);
        let error = sys::run_again();
        self.engine.reply_error(&format!("ERR failed to restart the server: {error}"));
    }
}
