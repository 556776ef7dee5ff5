//! Threads that compress blocks; what they make comes out in the order in
//! which it went in.
//!
//! Only blocks are handed over: what reads the plain bytes and what writes
//! the compressed ones stays in the caller's thread, so neither has to be
//! `Send`, and an error of either ends everything at once.

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, TryRecvError, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{Builder, JoinHandle};

use super::Compression;
use super::block::{Block, Compressor};

/// More threads than one that reads, hashes and writes can keep busy.
const THREADS: usize = 32;

/// Compresses blocks, in the caller's thread or in others.
pub(super) struct Pool {
    compression: Compression,
    threads: usize,
    workers: Vec<JoinHandle<()>>,
    jobs: Option<Sender<Job>>,
    waiting: Arc<Mutex<Receiver<Job>>>,
    /// Tells the workers that nobody wants what is still waiting.
    stop: Arc<AtomicBool>,
    /// What went in and did not come out yet, in order.
    ahead: VecDeque<Ahead>,
    /// For when there are no workers.
    own: Option<Compressor>,
}

/// A block, and where it goes when it is done.
struct Job {
    block: Block,
    done: SyncSender<io::Result<Block>>,
}

enum Ahead {
    Done(io::Result<Block>),
    Elsewhere(Receiver<io::Result<Block>>),
}

impl Pool {
    /// With 0 or 1 thread, the caller's does it. Threads start when there is
    /// something for them to do.
    pub(super) fn new(compression: Compression, threads: usize) -> Self {
        let (jobs, waiting) = channel();
        Self {
            compression,
            threads: if threads > 1 { threads.min(THREADS) } else { 0 },
            workers: Vec::new(),
            jobs: Some(jobs),
            waiting: Arc::new(Mutex::new(waiting)),
            stop: Arc::new(AtomicBool::new(false)),
            ahead: VecDeque::new(),
            own: None,
        }
    }

    /// Whether a block has to come out before another goes in: each thread
    /// has one block, and there is another for each (one for all if blocks
    /// are large), so that none waits for the caller.
    pub(super) fn is_full(&self) -> bool {
        let spare = match self.compression {
            Compression::Zstd { .. } => 1,
            _ => self.workers.len(),
        };
        self.ahead.len() >= self.workers.len() + spare.max(1)
    }

    /// Takes a block.
    pub(super) fn push(&mut self, block: Block) {
        if self.workers.len() < self.threads && self.workers.len() <= self.ahead.len() {
            self.hire();
        }
        let next = match &self.jobs {
            Some(jobs) if !self.workers.is_empty() => {
                let (done, result) = sync_channel(1);
                match jobs.send(Job { block, done }) {
                    Ok(()) => Ahead::Elsewhere(result),
                    Err(back) => {
                        Ahead::Done(compress(&mut self.own, self.compression, back.0.block))
                    }
                }
            }
            _ => Ahead::Done(compress(&mut self.own, self.compression, block)),
        };
        self.ahead.push_back(next);
    }

    /// Gives the next block if it is done; waits for it if `wait`.
    pub(super) fn pop(&mut self, wait: bool) -> Option<io::Result<Block>> {
        let gone = || Err(io::Error::other("a thread that compresses ended early"));
        let result = match self.ahead.pop_front()? {
            Ahead::Done(result) => result,
            Ahead::Elsewhere(result) if wait => result.recv().unwrap_or_else(|_| gone()),
            Ahead::Elsewhere(result) => match result.try_recv() {
                Ok(result) => result,
                Err(TryRecvError::Disconnected) => gone(),
                Err(TryRecvError::Empty) => {
                    self.ahead.push_front(Ahead::Elsewhere(result));
                    return None;
                }
            },
        };
        Some(result)
    }

    /// Starts one more worker. Where the system allows no more threads, those
    /// that there are do the work.
    fn hire(&mut self) {
        let (waiting, stop) = (Arc::clone(&self.waiting), Arc::clone(&self.stop));
        let compression = self.compression;
        let worker = Builder::new()
            .name("compress".into())
            .spawn(move || work(&waiting, &stop, compression));
        match worker {
            Ok(worker) => self.workers.push(worker),
            Err(_) => self.threads = self.workers.len(),
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.jobs = None;
        for worker in self.workers.drain(..) {
            // One that panicked has said so through its channel.
            let _ = worker.join();
        }
    }
}

fn work(waiting: &Mutex<Receiver<Job>>, stop: &AtomicBool, compression: Compression) {
    let mut compressor = None;
    loop {
        let job = waiting.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(Job { block, done }) = job else { return };
        if stop.load(Ordering::Relaxed) {
            return;
        }
        // Nobody listens any more if the encoder was given up.
        let _ = done.send(compress(&mut compressor, compression, block));
    }
}

fn compress(
    compressor: &mut Option<Compressor>,
    compression: Compression,
    mut block: Block,
) -> io::Result<Block> {
    let compressor = match compressor {
        Some(compressor) => compressor,
        None => compressor.insert(Compressor::new(compression)?),
    };
    compressor.run(&mut block)?;
    Ok(block)
}
