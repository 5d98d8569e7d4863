//! Progress, cancellation and the ordered parallel loop that both hook into.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use rayon::prelude::*;

use crate::Error;

/// How a long run reports its progress and is told to stop.
#[derive(Clone, Copy, Default)]
pub struct Control<'a> {
    /// Called with the samples done and the samples in all, from any thread.
    pub progress: Option<&'a (dyn Fn(usize, usize) + Sync)>,
    /// Set from elsewhere to end the run with [`Error::Cancelled`].
    pub cancel: Option<&'a AtomicBool>,
}

impl Control<'_> {
    /// `Err(Error::Cancelled)` once the cancel flag is set.
    pub fn check(&self) -> Result<(), Error> {
        match self.cancel {
            Some(flag) if flag.load(Ordering::Relaxed) => Err(Error::Cancelled),
            _ => Ok(()),
        }
    }

    /// Runs `job` over `0..total` in chunks, on all threads of the rayon pool
    /// in force, and hands the results to `fold` in order on this thread.
    ///
    /// At most a few chunks a thread are in memory at once. The result does not
    /// depend on the number of threads; of several errors the first in order is
    /// the one returned.
    pub(crate) fn ordered<T: Send>(
        &self,
        total: usize,
        chunk: usize,
        job: impl Fn(Range<usize>) -> Result<T, Error> + Sync,
        mut fold: impl FnMut(T) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let chunk = chunk.max(1);
        let window = chunk.saturating_mul(rayon::current_num_threads() * 4);
        let done = AtomicUsize::new(0);
        let mut start = 0;
        while start < total {
            let end = start.saturating_add(window).min(total);
            let starts: Vec<usize> = (start..end).step_by(chunk).collect();
            let results: Vec<Result<T, Error>> = starts
                .into_par_iter()
                .map(|first| {
                    self.check()?;
                    let range = first..first.saturating_add(chunk).min(end);
                    let count = range.len();
                    let result = job(range)?;
                    let done = done.fetch_add(count, Ordering::Relaxed) + count;
                    if let Some(progress) = self.progress {
                        progress(done, total);
                    }
                    Ok(result)
                })
                .collect();
            for result in results {
                fold(result?)?;
            }
            start = end;
        }
        Ok(())
    }
}
