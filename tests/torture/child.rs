//! A child that writes its base a step at a time, with the server going on between its operations of the disk.

use std::cell::{Cell, RefCell};
use std::io::{self, IoSlice, Write};
use std::os::fd::RawFd;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use kvick::engine::Engine;
use kvick::io::aof::child::{Work, Writers};
use kvick::io::child::{Finished, Writer};
use kvick::io::disk::{Disk, How, Look, SharedFile};
use kvick::state::server::Persistence;

use crate::common::Random;
use crate::disk::Simulated;
use crate::life::Life;

/// Which units children have written, or are writing: the last one.
#[derive(Default)]
pub struct Marks {
    /// The last that was done.
    pub units: Cell<usize>,
    /// The last in the base of the child that has ended last.
    pub finished: Cell<usize>,
}

/// A base that is to be written.
pub struct Job {
    work: Work,
    pieces: Vec<Vec<u8>>,
    shared: Rc<ChildState>,
}

#[derive(Default)]
struct ChildState {
    path: PathBuf,
    /// The last unit that is in its base.
    unit: usize,
    killed: Cell<bool>,
    /// After so many operations of the disk it is killed.
    lives_for: Cell<Option<u64>>,
    ended: RefCell<Option<Finished>>,
}

/// The base that waits to be written, if one does.
pub type Jobs = Rc<RefCell<Option<Job>>>;

/// Writers of bases that write when they are told to.
pub struct Patient {
    pub jobs: Jobs,
    pub marks: Rc<Marks>,
    pub random: RefCell<Random>,
}

/// Keeps each piece that was written.
struct Pieces(Vec<Vec<u8>>);

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.push(bytes.to_vec());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Writers for Patient {
    fn start(&self, engine: &mut Engine, _: Option<RawFd>, work: &Work) -> io::Result<Box<dyn Writer>> {
        let mut random = self.random.borrow_mut();
        if random.chance(3) {
            return Err(io::Error::other("cannot fork"));
        }
        let mut pieces = Pieces(Vec::new());
        work.write(engine, &mut pieces, &mut |_| {})?;
        let path = work.place.temporary_base(random.below(1000) as u32);
        let shared = Rc::new(ChildState { path, unit: self.marks.units.get(), ..ChildState::default() });
        let job = Job { work: work.clone(), pieces: pieces.0, shared: Rc::clone(&shared) };
        assert!(self.jobs.replace(Some(job)).is_none(), "two children at once");
        let (jobs, marks) = (Rc::clone(&self.jobs), Rc::clone(&self.marks));
        Ok(Box::new(Patiently { shared, jobs, marks }))
    }
}

struct Patiently {
    shared: Rc<ChildState>,
    jobs: Jobs,
    marks: Rc<Marks>,
}

impl Writer for Patiently {
    fn pid(&self) -> i32 {
        1
    }

    fn path(&self) -> &Path {
        &self.shared.path
    }

    fn cow_bytes(&self) -> u64 {
        0
    }

    fn watch(&mut self, _: &mut Persistence) -> Option<Finished> {
        let ended = self.shared.ended.borrow_mut().take();
        if ended.is_some() {
            self.marks.finished.set(self.shared.unit);
        }
        ended
    }

    fn end(&mut self) {
        self.shared.killed.set(true);
        self.jobs.replace(None);
    }
}

/// The disk as a child sees it: between its operations the server goes on, and a child that was killed does nothing.
struct Between {
    disk: Simulated,
    child: Rc<ChildState>,
    go_on: Box<dyn Fn()>,
}

impl std::fmt::Debug for Between {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.disk.fmt(out)
    }
}

impl Between {
    fn step(&self) -> io::Result<()> {
        (self.go_on)();
        let lives_for = self.child.lives_for.get().map(|left| left.checked_sub(1));
        self.child.lives_for.set(lives_for.flatten());
        if lives_for == Some(None) {
            self.child.killed.set(true);
        }
        if self.child.killed.get() { Err(io::Error::other("killed")) } else { Ok(()) }
    }
}

#[derive(Debug)]
struct ChildFile {
    file: SharedFile,
    disk: Rc<Between>,
}

impl kvick::io::disk::DiskFile for ChildFile {
    fn read_at(&self, bytes: &mut [u8], from: u64) -> io::Result<usize> {
        self.disk.step()?;
        self.file.read_at(bytes, from)
    }

    fn write(&self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        self.disk.step()?;
        self.file.write(pieces)
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.disk.step()?;
        self.file.set_len(length)
    }

    fn sync(&self) -> io::Result<()> {
        self.disk.step()?;
        self.disk.disk.sync_elsewhere(&self.file)
    }

    fn size(&self) -> io::Result<u64> {
        self.disk.step()?;
        self.file.size()
    }

    fn claim(&self) -> io::Result<bool> {
        self.file.claim()
    }

    fn descriptor(&self) -> RawFd {
        self.file.descriptor()
    }
}

/// A share of [`Between`], for the files that are open on it.
#[derive(Debug)]
struct ChildDisk(Rc<Between>);

impl Disk for ChildDisk {
    fn open(&self, path: &Path, how: How) -> io::Result<SharedFile> {
        self.0.step()?;
        let file = self.0.disk.open(path, how)?;
        Ok(Rc::new(ChildFile { file, disk: Rc::clone(&self.0) }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.0.step()?;
        self.0.disk.rename(from, to)
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.0.step()?;
        self.0.disk.link(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.0.step()?;
        self.0.disk.remove(path)
    }

    fn create_directory(&self, path: &Path) -> io::Result<()> {
        self.0.step()?;
        self.0.disk.create_directory(path)
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<std::ffi::OsString>> {
        self.0.step()?;
        self.0.disk.list(directory)
    }

    fn look(&self, path: &Path) -> io::Result<Look> {
        self.0.step()?;
        self.0.disk.look(path)
    }
}

impl Job {
    /// The child is killed after so many operations of the disk.
    pub fn kill_after(&self, operations: u64) {
        self.shared.lives_for.set(Some(operations));
    }
}

/// Lets the child write all it has to, while `life` goes on.
pub fn run_child(life: &Rc<RefCell<Life>>, job: Job, disk: &Simulated) {
    let Job { work, pieces, shared } = job;
    let go_on = {
        let (life, disk) = (Rc::clone(life), disk.clone());
        Box::new(move || {
            let turns = life.borrow_mut().random.below(3);
            for _ in 0..turns {
                if !disk.is_off() {
                    life.borrow_mut().turn();
                }
            }
        })
    };
    let between = Rc::new(Between { disk: disk.clone(), child: Rc::clone(&shared), go_on });
    let place = work.place.clone().on(Rc::new(ChildDisk(between)));
    let path = shared.path.clone();
    let done =
        Work { place, ..work }.run(&path, |out| pieces.iter().try_for_each(|piece| out.write_all(piece)));
    let ended = match done {
        Ok(()) => Finished::Done,
        Err(error) => Finished::Failed(error.to_string()),
    };
    shared.ended.replace(Some(ended));
}
