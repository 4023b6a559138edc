use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::mpsc::UnboundedSender;

use crate::protocol::{event::LogLines, timestamp};

/// The log of one run: kept whole for the final report, and sent line by line while it grows.
#[derive(Clone)]
pub struct RunLog {
    text: Arc<Mutex<String>>,
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
}

impl RunLog {
    /// A log that is sent over `outgoing` too, if there is one.
    pub fn new(run_id: i64, task_id: i64, collaboration_id: i64, outgoing: Option<UnboundedSender<Outgoing>>) -> Self {
        RunLog { text: Arc::default(), run_id, task_id, collaboration_id, outgoing }
    }

    /// Adds a line with the time (UTC). Never call it with values of the data.
    pub fn line(&self, line: impl AsRef<str>) {
        let now = timestamp::now();
        let line = format!("{} {}\n", now.get(..19).unwrap_or(&now).replace('T', " "), line.as_ref());
        self.text.lock().unwrap_or_else(PoisonError::into_inner).push_str(&line);
        let Some(outgoing) = &self.outgoing else { return };
        let lines = LogLines {
            run_id: self.run_id,
            task_id: self.task_id,
            collaboration_id: Some(self.collaboration_id),
            log: line,
        };
        if let Ok(payload) = serde_json::to_value(lines) {
            // Without a receiver the node is stopping; the final report holds the whole log anyway.
            let _ = outgoing.send(Outgoing { name: "algorithm_log", payload });
        }
    }

    /// Everything so far.
    pub fn text(&self) -> String {
        self.text.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
