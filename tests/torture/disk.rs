//! A disk whose power can be cut, that is slow, full or broken as told; and the helper who syncs on it.
//!
//! Every file has two contents: what whoever reads it sees, and what the platter has, with the changes in between that
//! no sync has brought there yet. So have the names of each directory. When the power goes, of these changes any part
//! survives, sector by sector and name by name. After a sync that failed, some of what it should have brought is
//! forgotten: it can still be read, and no later sync brings it.
//!
//! Every operation is counted, and the power goes at the one that was named; so a story can be told again and be cut
//! off a step later.

use std::cell::{Cell, RefCell, RefMut};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{self, ErrorKind, IoSlice};
use std::os::fd::RawFd;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use kvick::io::aof::sync::{Syncing, What};
use kvick::io::disk::{Disk, DiskFile, How, Look, SharedFile};

use crate::common::Random;

/// Milliseconds, by hand.
pub type Clock = Rc<Cell<u64>>;

/// What an operation is, for whoever wants to make it fail.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Look,
    Write,
    Cut,
    Sync,
    Name,
}

/// What is wrong with the disk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Trouble {
    /// `ENOSPC` for whatever wants room.
    Full,
    /// `EIO` for whatever writes.
    Broken,
    /// `EIO` for syncs only.
    Unsynced,
    /// `EIO` for whatever reads.
    Unread,
}

/// Faults to come.
#[derive(Clone, Copy, Default, Debug)]
pub struct Faults {
    /// So many of a thousand operations begin a trouble.
    pub per_mille: usize,
    /// So many of a thousand are interrupted, or write less than they were asked to.
    pub nuisances_per_mille: usize,
}

#[derive(Clone, Debug)]
enum Change {
    Write { at: usize, bytes: Vec<u8> },
    Cut { length: usize },
}

impl Change {
    fn apply(&self, bytes: &mut Vec<u8>) {
        match self {
            Change::Cut { length } => bytes.resize(*length, 0),
            Change::Write { at, bytes: new } => {
                bytes.resize(bytes.len().max(at + new.len()), 0);
                bytes[*at..at + new.len()].copy_from_slice(new);
            }
        }
    }
}

/// A file, or a directory, which holds nothing.
#[derive(Default, Debug)]
struct Node {
    is_directory: bool,
    bytes: Vec<u8>,
    kept: Vec<u8>,
    changes: Vec<Change>,
    /// Changes that were synced or forgotten before those.
    before: u64,
    claimed: bool,
}

#[derive(Clone, Debug)]
enum Move {
    Set(PathBuf, usize),
    Gone(PathBuf),
    Rename(PathBuf, PathBuf),
}

impl Move {
    fn apply(&self, names: &mut BTreeMap<PathBuf, usize>) {
        match self {
            Move::Set(path, node) => {
                names.insert(path.clone(), *node);
            }
            Move::Gone(path) => {
                names.remove(path);
            }
            Move::Rename(from, to) => {
                if let Some(node) = names.remove(from) {
                    names.insert(to.clone(), node);
                }
            }
        }
    }

    fn directory(&self) -> PathBuf {
        let (Move::Set(path, _) | Move::Gone(path) | Move::Rename(_, path)) = self;
        parent(path)
    }
}

fn parent(path: &Path) -> PathBuf {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_path_buf()
}

/// What survives a cut of the power.
#[derive(Clone, Copy, Debug)]
enum Survives {
    Nothing,
    Everything,
    Beginning,
    Anything,
}

/// What happened to a disk.
#[derive(Clone, Copy, Default, Debug)]
pub struct Figures {
    /// Operations in all.
    pub operations: u64,
    /// Operations that failed.
    pub faults: u64,
    /// Syncs that were begun early.
    pub begun: u64,
    /// Syncs that a rewrite or a backup has asked for.
    pub beside: u64,
    /// Milliseconds that the longest sync took which the loop itself waited for.
    pub longest_stop_ms: u64,
}

#[derive(Debug)]
struct Inner {
    random: Random,
    clock: Clock,
    nodes: Vec<Node>,
    names: BTreeMap<PathBuf, usize>,
    kept: BTreeMap<PathBuf, usize>,
    moves: Vec<Move>,
    /// Grows with every start; handles of an earlier one are of no use.
    life: u64,
    is_off: bool,
    cut_at: Option<u64>,
    faults: Faults,
    trouble: Option<(Trouble, u64)>,
    figures: Figures,
    /// What a sync takes.
    sync_ms: u64,
    /// Bytes of a file that are begun with before they are synced.
    begin_every: u64,
    sector: usize,
}

/// The disk. Clones are the same disk.
#[derive(Clone, Debug)]
pub struct Simulated(Rc<RefCell<Inner>>);

impl Simulated {
    /// An empty disk.
    pub fn new(seed: u64, clock: Clock) -> Simulated {
        let mut random = Random::new(seed);
        let root = Node { is_directory: true, ..Node::default() };
        let names = BTreeMap::from([(PathBuf::from("."), 0)]);
        let sector = *random.pick(&[512, 512, 64, 4096]);
        Simulated(Rc::new(RefCell::new(Inner {
            random,
            clock,
            nodes: vec![root],
            kept: names.clone(),
            names,
            moves: Vec::new(),
            life: 0,
            is_off: false,
            cut_at: None,
            faults: Faults::default(),
            trouble: None,
            figures: Figures::default(),
            sync_ms: 0,
            begin_every: u64::MAX,
            sector,
        })))
    }

    fn inner(&self) -> RefMut<'_, Inner> {
        self.0.borrow_mut()
    }

    /// The power goes at this operation, counted from the beginning of all.
    pub fn cut_at(&self, operation: Option<u64>) {
        self.inner().cut_at = operation;
    }

    /// The power goes now.
    pub fn cut(&self) {
        self.inner().is_off = true;
    }

    /// Whether the power has gone.
    pub fn is_off(&self) -> bool {
        self.inner().is_off
    }

    /// From now on, this goes wrong; what goes wrong already goes on if that is not nothing.
    pub fn set_faults(&self, faults: Faults) {
        let mut inner = self.inner();
        inner.faults = faults;
        if faults.per_mille == 0 {
            inner.trouble = None;
        }
    }

    /// Whether anything goes wrong besides the power.
    pub fn has_faults(&self) -> bool {
        let inner = self.inner();
        inner.faults.per_mille != 0 || inner.faults.nuisances_per_mille != 0
    }

    /// This is wrong from now on.
    pub fn set_trouble(&self, trouble: Option<Trouble>) {
        self.inner().trouble = trouble.map(|trouble| (trouble, u64::MAX));
    }

    /// A sync takes so long from now on.
    pub fn set_sync_ms(&self, sync_ms: u64) {
        self.inner().sync_ms = sync_ms;
    }

    /// So many bytes begin to go to the disk before they are synced, from now on. What that takes: [`begin_ms`].
    pub fn set_begin_every(&self, bytes: u64) {
        self.inner().begin_every = bytes;
    }

    /// What happened so far.
    pub fn figures(&self) -> Figures {
        self.inner().figures
    }

    /// The process has ended, or the machine: nobody holds a file any more. After a cut of the power, what is left is
    /// what survived.
    pub fn restart(&self) {
        let mut inner = self.inner();
        inner.life += 1;
        inner.cut_at = None;
        inner.trouble = None;
        inner.faults = Faults::default();
        inner.nodes.iter_mut().for_each(|node| node.claimed = false);
        if std::mem::take(&mut inner.is_off) {
            inner.lose_power();
        }
    }

    /// Puts a file on the disk, with its directory.
    pub fn put(&self, path: &str, bytes: &[u8]) {
        let mut inner = self.inner();
        let (path, directory) = (PathBuf::from(path), parent(Path::new(path)));
        if inner.find(&directory).is_err() {
            inner.create(&directory, Node { is_directory: true, ..Node::default() });
        }
        inner.create(&path, Node { bytes: bytes.to_vec(), kept: bytes.to_vec(), ..Node::default() });
        inner.kept = inner.names.clone();
        inner.moves.clear();
    }

    /// The content of a file.
    pub fn read(&self, path: &Path) -> Option<Vec<u8>> {
        let inner = self.inner();
        inner.names.get(path).map(|node| inner.nodes[*node].bytes.clone())
    }

    /// All files.
    pub fn files(&self) -> Vec<PathBuf> {
        let inner = self.inner();
        let is_file = |node: &usize| !inner.nodes[*node].is_directory;
        inner.names.iter().filter(|(_, node)| is_file(node)).map(|(path, _)| path.clone()).collect()
    }

    /// Syncs as another process does: the loop does not wait for it.
    pub fn sync_elsewhere(&self, file: &SharedFile) -> io::Result<()> {
        self.sync_node(file.descriptor() as usize, None)
    }

    fn sync_node(&self, node: usize, until: Option<u64>) -> io::Result<()> {
        let mut inner = self.inner();
        let begun = inner.begin(Kind::Sync);
        if inner.nodes[node].is_directory {
            begun?;
            inner.sync_names(node);
            return Ok(());
        }
        let Inner { nodes, random, is_off, .. } = &mut *inner;
        let file = &mut nodes[node];
        let count = until.map_or(file.changes.len(), |until| until.saturating_sub(file.before) as usize);
        let failed = begun.is_err();
        if failed && (*is_off || begun.as_ref().is_err_and(|error| error.kind() == ErrorKind::Interrupted)) {
            return begun;
        }
        for change in file.changes.drain(..count) {
            // What a failed sync did not bring to the disk is forgotten.
            if !failed || random.chance(50) {
                change.apply(&mut file.kept);
            }
        }
        file.before += count as u64;
        begun
    }
}

impl Inner {
    /// One operation more. Fails if the power is off, goes off now, or the operation is one of those that go wrong.
    fn begin(&mut self, kind: Kind) -> io::Result<()> {
        if self.is_off {
            return Err(io::Error::from_raw_os_error(libc_errno::EIO));
        }
        self.figures.operations += 1;
        if self.cut_at == Some(self.figures.operations) {
            self.is_off = true;
            return Err(io::Error::from_raw_os_error(libc_errno::EIO));
        }
        let failed = self.fault(kind);
        self.figures.faults += u64::from(failed.is_err());
        failed
    }

    fn fault(&mut self, kind: Kind) -> io::Result<()> {
        if self.faults.nuisances_per_mille != 0 && self.random.below(1000) < self.faults.nuisances_per_mille {
            return Err(ErrorKind::Interrupted.into());
        }
        if self.trouble.is_none()
            && self.faults.per_mille != 0
            && self.random.below(1000) < self.faults.per_mille
        {
            let trouble = *self.random.pick(&[Trouble::Full, Trouble::Broken, Trouble::Unsynced]);
            let lasts = *self.random.pick(&[1, 1, 3, 30]);
            self.trouble = Some((trouble, lasts));
        }
        let Some((trouble, left)) = &mut self.trouble else { return Ok(()) };
        let errno = match (*trouble, kind) {
            (Trouble::Full, Kind::Write | Kind::Name) => libc_errno::ENOSPC,
            (Trouble::Broken, Kind::Write | Kind::Name | Kind::Cut | Kind::Sync) => libc_errno::EIO,
            (Trouble::Unsynced, Kind::Sync) | (Trouble::Unread, Kind::Look) => libc_errno::EIO,
            _ => return Ok(()),
        };
        *left -= 1;
        if *left == 0 {
            self.trouble = None;
        }
        Err(io::Error::from_raw_os_error(errno))
    }

    fn sync_names(&mut self, directory: usize) {
        let found = self.names.iter().find(|(_, node)| **node == directory).map(|(path, _)| path.clone());
        let Some(directory) = found else { return };
        let kept = &mut self.kept;
        self.moves.retain(|name| {
            let is_here = name.directory() == directory;
            if is_here {
                name.apply(kept);
            }
            !is_here
        });
    }

    fn lose_power(&mut self) {
        let ways = [Survives::Nothing, Survives::Everything, Survives::Beginning, Survives::Anything];
        let (of_bytes, of_names) = (*self.random.pick(&ways), *self.random.pick(&ways));
        let moves = std::mem::take(&mut self.moves);
        let count = self.random.below(moves.len() + 1);
        for (index, name) in moves.iter().enumerate() {
            let survives = match of_names {
                Survives::Nothing => false,
                Survives::Everything => true,
                Survives::Beginning => index < count,
                Survives::Anything => self.random.chance(50),
            };
            if survives {
                name.apply(&mut self.kept);
            }
        }
        let there: Vec<PathBuf> = self.kept.keys().cloned().collect();
        self.kept.retain(|path, _| path == Path::new(".") || there.contains(&parent(path)));
        self.names = self.kept.clone();
        for node in 0..self.nodes.len() {
            let bytes = self.survived(node, of_bytes);
            let file = &mut self.nodes[node];
            file.before += file.changes.len() as u64;
            file.changes.clear();
            file.kept = bytes.clone();
            file.bytes = bytes;
        }
    }

    /// What is left of a file.
    fn survived(&mut self, node: usize, how: Survives) -> Vec<u8> {
        let (file, random) = (&self.nodes[node], &mut self.random);
        let after = |count: usize| {
            let mut bytes = file.kept.clone();
            file.changes[..count].iter().for_each(|change| change.apply(&mut bytes));
            bytes
        };
        let all = file.changes.len();
        match how {
            _ if all == 0 => file.kept.clone(),
            Survives::Nothing => file.kept.clone(),
            Survives::Everything => after(all),
            Survives::Beginning => {
                let mut bytes = after(random.below(all + 1));
                let torn = bytes.len().saturating_sub(file.kept.len());
                if 0 < torn && random.chance(50) {
                    bytes.truncate(file.kept.len() + random.below(torn));
                }
                bytes
            }
            Survives::Anything => {
                let moments = [0, all, random.below(all + 1), random.below(all + 1)].map(after);
                let length = random.pick(&moments).len();
                let mut bytes = vec![0; length];
                for from in (0..length).step_by(self.sector) {
                    let to = length.min(from + self.sector);
                    let moment = random.pick(&moments);
                    let has = moment.len().clamp(from, to);
                    bytes[from..has].copy_from_slice(moment.get(from..has).unwrap_or_default());
                }
                bytes
            }
        }
    }

    fn find(&self, path: &Path) -> io::Result<usize> {
        self.names.get(path).copied().ok_or_else(|| ErrorKind::NotFound.into())
    }

    fn create(&mut self, path: &Path, node: Node) -> usize {
        self.nodes.push(node);
        let number = self.nodes.len() - 1;
        self.name(Move::Set(path.to_path_buf(), number));
        number
    }

    fn name(&mut self, name: Move) {
        name.apply(&mut self.names);
        self.moves.push(name);
    }

    fn change(&mut self, node: usize, change: Change) {
        let file = &mut self.nodes[node];
        change.apply(&mut file.bytes);
        file.changes.push(change);
    }
}

impl Disk for Simulated {
    fn open(&self, path: &Path, how: How) -> io::Result<SharedFile> {
        let mut inner = self.inner();
        let creates = matches!(how, How::CreateOrAppend | How::Replace | How::New);
        inner.begin(if creates { Kind::Name } else { Kind::Look })?;
        let node = match (inner.find(path), how) {
            (Ok(_), How::New) => return Err(ErrorKind::AlreadyExists.into()),
            (Ok(node), How::Replace) => {
                inner.change(node, Change::Cut { length: 0 });
                node
            }
            (Ok(node), _) => node,
            (Err(error), _) if !creates => return Err(error),
            (Err(_), _) => inner.create(path, Node::default()),
        };
        let is_appended = matches!(how, How::Append | How::CreateOrAppend);
        let life = inner.life;
        let disk = self.clone();
        Ok(Rc::new(Open { disk, node, life, is_appended, at: Cell::new(0), claims: Cell::new(false) }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut inner = self.inner();
        inner.begin(Kind::Name)?;
        inner.find(from)?;
        inner.name(Move::Rename(from.to_path_buf(), to.to_path_buf()));
        Ok(())
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut inner = self.inner();
        inner.begin(Kind::Name)?;
        let node = inner.find(from)?;
        inner.name(Move::Set(to.to_path_buf(), node));
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut inner = self.inner();
        inner.begin(Kind::Cut)?;
        inner.find(path)?;
        inner.name(Move::Gone(path.to_path_buf()));
        Ok(())
    }

    fn create_directory(&self, path: &Path) -> io::Result<()> {
        let mut inner = self.inner();
        inner.begin(Kind::Name)?;
        if inner.find(path).is_ok() {
            return Err(ErrorKind::AlreadyExists.into());
        }
        inner.create(path, Node { is_directory: true, ..Node::default() });
        Ok(())
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<OsString>> {
        let mut inner = self.inner();
        inner.begin(Kind::Look)?;
        inner.find(directory)?;
        let here =
            inner.names.keys().filter(|path| parent(path) == directory && path.as_path() != Path::new("."));
        Ok(here.filter_map(|path| path.file_name().map(OsString::from)).collect())
    }

    fn look(&self, path: &Path) -> io::Result<Look> {
        let mut inner = self.inner();
        inner.begin(Kind::Look)?;
        let node = inner.find(path)?;
        let links = inner.names.values().filter(|other| **other == node).count() as u64;
        let file = &inner.nodes[node];
        let size = file.bytes.len() as u64;
        Ok(Look { is_directory: file.is_directory, size, links, number: node as u64 })
    }

    fn begin_every_bytes(&self) -> u64 {
        self.inner().begin_every
    }
}

/// An open file.
#[derive(Debug)]
struct Open {
    disk: Simulated,
    node: usize,
    life: u64,
    is_appended: bool,
    at: Cell<u64>,
    claims: Cell<bool>,
}

impl Open {
    fn begin(&self, kind: Kind) -> io::Result<RefMut<'_, Inner>> {
        let mut inner = self.disk.inner();
        assert_eq!(inner.life, self.life, "a file of a process that has ended");
        inner.begin(kind)?;
        Ok(inner)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let mut inner = self.disk.inner();
        if self.claims.get() && inner.life == self.life {
            inner.nodes[self.node].claimed = false;
        }
    }
}

impl DiskFile for Open {
    fn read_at(&self, bytes: &mut [u8], from: u64) -> io::Result<usize> {
        let inner = self.begin(Kind::Look)?;
        let all = &inner.nodes[self.node].bytes;
        let rest = all.get(from as usize..).unwrap_or_default();
        let count = rest.len().min(bytes.len());
        bytes[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }

    fn write(&self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        let begun = self.begin(Kind::Write).map(drop);
        let mut inner = self.disk.inner();
        let mut bytes: Vec<u8> = pieces.iter().flat_map(|piece| piece.iter().copied()).collect();
        if begun.is_err() {
            // The power goes in the midst of a write: a part of it may be there.
            if !inner.is_off || inner.cut_at != Some(inner.figures.operations) {
                return begun.map(|()| 0);
            }
            let part = inner.random.below(bytes.len() + 1);
            bytes.truncate(part);
        } else if 1 < bytes.len()
            && inner.faults.nuisances_per_mille != 0
            && inner.random.below(1000) < inner.faults.nuisances_per_mille
        {
            let part = 1 + inner.random.below(bytes.len() - 1);
            bytes.truncate(part);
        }
        let file = &inner.nodes[self.node];
        let at = if self.is_appended { file.bytes.len() } else { self.at.get() as usize };
        let count = bytes.len();
        self.at.set((at + count) as u64);
        inner.change(self.node, Change::Write { at, bytes });
        begun.map(|()| count)
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        let mut inner = self.begin(Kind::Cut)?;
        inner.change(self.node, Change::Cut { length: length as usize });
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut inner = self.disk.inner();
        let sync_ms = inner.sync_ms;
        inner.clock.set(inner.clock.get() + sync_ms);
        inner.figures.longest_stop_ms = inner.figures.longest_stop_ms.max(sync_ms);
        drop(inner);
        self.disk.sync_node(self.node, None)
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.begin(Kind::Look)?.nodes[self.node].bytes.len() as u64)
    }

    fn claim(&self) -> io::Result<bool> {
        let mut inner = self.begin(Kind::Look)?;
        let free = !std::mem::replace(&mut inner.nodes[self.node].claimed, true);
        self.claims.set(free);
        Ok(free)
    }

    fn descriptor(&self) -> RawFd {
        // As there are no descriptors here, this says which file it is.
        self.node as RawFd
    }
}

/// Milliseconds that it takes to begin a sync, if the sync takes so many.
pub fn begin_ms(sync_ms: u64) -> u64 {
    sync_ms / 10
}

/// Syncs on the disk, in its time.
pub struct Helper {
    disk: Simulated,
    /// The file, its changes that are taken in (none if they are only begun with), and when it is done.
    under_way: Option<(SharedFile, Option<u64>, u64)>,
}

impl Helper {
    /// A helper with nothing to do.
    pub fn new(disk: &Simulated) -> Helper {
        Helper { disk: disk.clone(), under_way: None }
    }
}

impl Syncing for Helper {
    fn request(&mut self, file: &SharedFile, what: What) -> bool {
        if self.under_way.is_some() {
            return false;
        }
        let mut inner = self.disk.inner();
        let is_begin = what == What::Begin;
        inner.figures.begun += u64::from(is_begin);
        inner.figures.beside += u64::from(what == What::All);
        let node = &inner.nodes[file.descriptor() as usize];
        let until = (!is_begin).then_some(node.before + node.changes.len() as u64);
        let done_ms = inner.clock.get() + if is_begin { begin_ms(inner.sync_ms) } else { inner.sync_ms };
        drop(inner);
        self.under_way = Some((Rc::clone(file), until, done_ms));
        true
    }

    fn finished(&mut self) -> Option<Result<(), i32>> {
        let now_ms = self.disk.inner().clock.get();
        let (file, until, _) = self.under_way.take_if(|(_, _, done_ms)| *done_ms <= now_ms)?;
        while until.is_some() {
            match self.disk.sync_node(file.descriptor() as usize, until) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Some(Err(error.raw_os_error().unwrap_or(libc_errno::EIO))),
                Ok(()) => break,
            }
        }
        Some(Ok(()))
    }

    fn wait(&mut self) -> Option<Result<(), i32>> {
        let (_, _, done_ms) = self.under_way.as_ref()?;
        let mut inner = self.disk.inner();
        let stop_ms = done_ms.saturating_sub(inner.clock.get());
        inner.figures.longest_stop_ms = inner.figures.longest_stop_ms.max(stop_ms);
        inner.clock.set(inner.clock.get() + stop_ms);
        drop(inner);
        self.finished()
    }
}

/// The two numbers of errors that are needed.
mod libc_errno {
    pub const EIO: i32 = 5;
    pub const ENOSPC: i32 = 28;
}
