//! `BACKUP`: the log as it is at one moment, in a directory of its own.
//!
//! 1. It waits for a rewrite that is under way, since that deletes files, and until what was written so far is synced,
//!    so that little is left for step 3.
//! 2. A new increment is begun as for a rewrite. This is the moment of the backup: what comes from now on is not in it.
//! 3. The old increment gets its last word and is synced, while what comes stays in memory and writers wait.
//! 4. All files but the new increment are closed now, and are linked in one go. What the copy needs is synced by the
//!    helper, one thing after the other, while the log goes on. No rewrite begins meanwhile.
//! 5. Whoever asked is told when all of it is on disk. It is given up when the disk fails before that.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::{Asked, Rewrite, Store, syncing};
use crate::engine::Engine;
use crate::io::aof::backup::{Copy, Todo};
use crate::io::aof::manifest::Manifest;
use crate::io::aof::sync::What;
use crate::io::clock;
use crate::state::State;

/// A backup that was asked for and is not done.
pub(super) struct Backup {
    target: PathBuf,
    stage: Stage,
}

/// Where it stands; the numbers are those of the steps above.
enum Stage {
    /// 1, and the last batch that was written when it was its turn.
    Wanted(Option<u64>),
    /// 2 and 3.
    Closing,
    /// 4.
    Copying(Copy, VecDeque<Todo>),
}

impl Store {
    /// `BACKUP`: begins one, whose result [`Store::take_backup`] will have.
    ///
    /// # Errors
    ///
    /// The error reply.
    pub fn ask_for_backup(
        &mut self,
        engine: &mut Engine,
        target: &Path,
        now_ms: u64,
    ) -> Result<(), &'static str> {
        if !self.is_on() {
            return Err("ERR BACKUP needs the append only file: it is off (CONFIG SET appendonly yes)");
        }
        if self.backup.is_some() {
            return Err("ERR Backup already in progress");
        }
        self.backed_up = None;
        self.backup = Some(Box::new(Backup { target: target.to_path_buf(), stage: Stage::Wanted(None) }));
        self.go_on_with_backup(engine, now_ms);
        Ok(())
    }

    /// How the backup that was asked for last has ended, once.
    pub fn take_backup(&mut self) -> Option<Result<(), String>> {
        self.backed_up.take()
    }

    /// A backup wants what was written so far to be synced.
    pub(super) fn backup_wants_sync(&self) -> bool {
        matches!(self.backup.as_deref(), Some(Backup { stage: Stage::Wanted(Some(_)), .. }))
    }

    /// A backup needs the files of the log as they are.
    pub(super) fn backup_needs_files(&self) -> bool {
        self.backup.as_ref().is_some_and(|backup| !matches!(backup.stage, Stage::Wanted(_)))
    }

    /// Takes the next step if it can be taken.
    pub(super) fn go_on_with_backup(&mut self, engine: &mut Engine, now_ms: u64) {
        if self.backup.is_none() {
            return;
        }
        if !engine.state.persistence.last_write_ok {
            let why = engine.state.persistence.last_write_error.clone();
            return self.give_backup_up(&why);
        }
        let before = clock::moment();
        if matches!(self.backup.as_deref(), Some(Backup { stage: Stage::Wanted(_), .. })) {
            self.begin_backup(engine, now_ms);
        }
        let is_closed = self.old.is_none() && !matches!(self.rewrite, Rewrite::Preparing(_));
        if is_closed && matches!(self.backup.as_deref(), Some(Backup { stage: Stage::Closing, .. })) {
            self.lay_out_backup();
        }
        self.sync_backup();
        engine.state.note_latency("aof-backup", before.elapsed().as_nanos() as u64);
    }

    /// Steps 1 and 2.
    fn begin_backup(&mut self, engine: &mut Engine, now_ms: u64) {
        let rewrite_follows = match &self.rewrite {
            Rewrite::Preparing(_) | Rewrite::Running(_) | Rewrite::Lasting(_) => return,
            Rewrite::Wanted => true,
            Rewrite::None => false,
        };
        let Some(Backup { stage: Stage::Wanted(written), .. }) = self.backup.as_deref_mut() else { return };
        let written = *written.get_or_insert(self.written);
        if self.old.is_some() || engine.state.gate.synced() < written {
            self.sync_if_due(&mut engine.state, now_ms);
            return;
        }
        if let Err(error) = self.prepare(Some(rewrite_follows)) {
            return self.give_backup_up(&error.to_string());
        }
        if let Some(backup) = &mut self.backup {
            backup.stage = Stage::Closing;
        }
    }

    /// What was prepared for it is of no use any more: it begins once more.
    pub(super) fn begin_backup_again(&mut self) {
        if let Some(backup) = &mut self.backup {
            backup.stage = Stage::Wanted(None);
        }
    }

    /// Step 4.
    fn lay_out_backup(&mut self) {
        let Some(backup) = &mut self.backup else { return };
        let mut closed = Manifest { history: Vec::new(), ..self.manifest.clone() };
        closed.increments.pop();
        match Copy::lay_out(&self.place, &closed, &backup.target, false) {
            Ok((copy, todo)) => backup.stage = Stage::Copying(copy, todo.into()),
            Err(error) => self.give_backup_up(&error.to_string()),
        }
    }

    /// Asks for the next sync, if the helper is free.
    fn sync_backup(&mut self) {
        let Some(Backup { stage: Stage::Copying(copy, todo), .. }) = self.backup.as_deref_mut() else {
            return;
        };
        if let Some(Todo::Publish) = todo.front() {
            if let Err(error) = copy.publish() {
                return self.give_backup_up(&error.to_string());
            }
            todo.pop_front();
        }
        match todo.front() {
            Some(Todo::Shared(file) | Todo::Own(file)) => {
                if self.syncer.request(&Rc::clone(file), What::All) {
                    self.under_way = Some(Asked::Backup);
                }
            }
            _ => self.backup_is_done(),
        }
    }

    /// The helper has synced what was asked for.
    pub(super) fn backup_synced(&mut self, state: &mut State, result: Result<(), i32>) {
        let Some(Backup { stage: Stage::Copying(_, todo), .. }) = self.backup.as_deref_mut() else { return };
        let done = todo.pop_front();
        if let Err(errno) = result {
            let why = syncing::why(errno);
            if let Some(Todo::Shared(_)) = done {
                // It is the log's own file, too, and nobody else is told.
                self.note_failed_sync(state, &why);
            }
            self.give_backup_up(&why);
        }
    }

    fn backup_is_done(&mut self) {
        if let Some(backup) = self.backup.take() {
            log::info!("Backup of the append only file written to {}", backup.target.display());
            self.backed_up = Some(Ok(()));
        }
    }

    /// There will be no backup.
    pub(super) fn give_backup_up(&mut self, why: &str) {
        let Some(backup) = self.backup.take() else { return };
        if let Rewrite::Preparing(preparing) = &self.rewrite
            && preparing.backup.is_some()
        {
            self.forget_preparing();
        }
        if let Some(asked) = self.under_way.as_mut().filter(|asked| matches!(asked, Asked::Backup)) {
            *asked = Asked::Gone;
        }
        if let Stage::Copying(copy, _) = &backup.stage {
            copy.abandon();
        }
        log::warn!("Backup of the append only file to {} failed: {why}", backup.target.display());
        self.backed_up = Some(Err(why.to_owned()));
    }
}
