use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures::future::join_all;
use tokio::{
    sync::{
        mpsc::UnboundedSender,
        oneshot::{self, error::TryRecvError},
    },
    time::timeout,
};

use crate::protocol::{event::LogLines, timestamp};

/// How long a report waits for the server to take the lines that were sent before.
const PATIENCE: Duration = Duration::from_secs(3);

/// The log of one run: kept whole for reports, and sent line by line while it grows.
#[derive(Clone)]
pub struct RunLog {
    text: Arc<Mutex<String>>,
    /// Lines that the server has not taken yet.
    under_way: Arc<Mutex<Vec<oneshot::Receiver<()>>>>,
    run_id: i64,
    task_id: i64,
    collaboration_id: i64,
    outgoing: Option<UnboundedSender<Outgoing>>,
}

/// What a node sends to the server as an event.
#[derive(Debug)]
pub struct Outgoing {
    pub name: &'static str,
    pub payload: serde_json::Value,
    /// Told when the server has taken it; without, nobody waits for that.
    pub taken: Option<oneshot::Sender<()>>,
}

impl Outgoing {
    /// Whether whoever waited for it has given up: sent now, it would come after what it belongs before.
    pub fn is_stale(&self) -> bool {
        self.taken.as_ref().is_some_and(oneshot::Sender::is_closed)
    }
}

impl RunLog {
    /// A log that goes on after what the server has of it already, and that is sent over `outgoing` too, if there is
    /// one.
    pub fn new(
        run_id: i64,
        task_id: i64,
        collaboration_id: i64,
        before: &str,
        outgoing: Option<UnboundedSender<Outgoing>>,
    ) -> Self {
        let mut text = before.to_owned();
        if !text.is_empty() && !text.ends_with('\n') {
            text.push('\n');
        }
        RunLog {
            text: Arc::new(Mutex::new(text)),
            under_way: Arc::default(),
            run_id,
            task_id,
            collaboration_id,
            outgoing,
        }
    }

    /// Whose log it is.
    pub fn run_id(&self) -> i64 {
        self.run_id
    }

    /// Adds a line with the time (UTC). Never call it with values of the data.
    pub fn line(&self, line: impl AsRef<str>) {
        let line = self.last_line(line);
        let Some(outgoing) = &self.outgoing else { return };
        let lines = LogLines {
            run_id: self.run_id,
            task_id: self.task_id,
            collaboration_id: Some(self.collaboration_id),
            log: line,
        };
        if let Ok(payload) = serde_json::to_value(lines) {
            let (taken, receiver) = oneshot::channel();
            // Without a receiver the node is stopping; the next report holds the whole log anyway.
            let _ = outgoing.send(Outgoing { name: "algorithm_log", payload, taken: Some(taken) });
            let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
            under_way.retain_mut(|line| line.try_recv() == Err(TryRecvError::Empty));
            under_way.push(receiver);
        }
    }

    /// Adds a line that only the next report brings to the server; the line as it was added.
    pub fn last_line(&self, line: impl AsRef<str>) -> String {
        let now = timestamp::now();
        // Names that somebody sent stand in lines: no line break of theirs makes what looks like another line.
        let line = line.as_ref().replace(char::is_control, " ");
        let line = format!("{} {line}\n", now.get(..19).unwrap_or(&now).replace('T', " "));
        self.text.lock().unwrap_or_else(PoisonError::into_inner).push_str(&line);
        line
    }

    /// Everything so far, for a report that replaces the streamed log. A server appends to it whatever line comes
    /// later, so it waits until the server has taken every line that was sent; those that it does not take soon are not
    /// sent any more.
    pub async fn whole(&self) -> String {
        let under_way = std::mem::take(&mut *self.under_way.lock().unwrap_or_else(PoisonError::into_inner));
        let _ = timeout(PATIENCE, join_all(under_way)).await;
        self.text.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::mpsc::unbounded_channel;

    #[tokio::test]
    async fn a_line_that_the_server_did_not_take_before_the_report_is_not_sent_after_it() {
        let (sender, mut receiver) = unbounded_channel();
        let log = RunLog::new(1, 1, 1, "", Some(sender));
        log.line("taken");
        log.line("waiting for a connection");
        let taken = receiver.recv().await.unwrap();
        taken.taken.unwrap().send(()).unwrap();
        let waiting = receiver.recv().await.unwrap();
        assert!(!waiting.is_stale());
        // Patience ends.
        assert!(timeout(Duration::from_millis(1), log.whole()).await.is_err());
        assert!(waiting.is_stale());
        assert_eq!(log.whole().await.lines().count(), 2);
    }

    #[tokio::test]
    async fn the_last_line_is_only_in_the_report() {
        let (sender, mut receiver) = unbounded_channel();
        let log = RunLog::new(1, 1, 1, "before", Some(sender));
        log.last_line("the end");
        assert!(receiver.try_recv().is_err());
        let whole = log.whole().await;
        assert!(whole.starts_with("before\n") && whole.ends_with("the end\n"));
    }
}
