//! When somebody asked for a mail in this browser: the hub does not tell whether it sent one, since that would tell whether
//! there is such an account.

use jiff::Timestamp;
use tower_sessions::Session;

use super::SessionError;
use crate::protocol::account::MINUTES_BETWEEN_MAILS;

const ASKED_MAIL: &str = "asked_mail";

/// In how many minutes the next mail can be sent, if one was asked for before; else it is noted that one is.
pub async fn next_mail_in(session: &Session, account: &str) -> Result<Option<i64>, SessionError> {
    let asked = account.to_lowercase();
    let now = Timestamp::now().as_second();
    let before: Option<(String, i64)> = session.get(ASKED_MAIL).await?;
    let passed = before.filter(|(before, _)| *before == asked).map(|(_, at)| (now - at) / 60);
    let left = passed
        .filter(|minutes| (0..MINUTES_BETWEEN_MAILS).contains(minutes))
        .map(|minutes| MINUTES_BETWEEN_MAILS - minutes);
    if left.is_none() {
        session.insert(ASKED_MAIL, (asked, now)).await?;
    }
    Ok(left)
}
