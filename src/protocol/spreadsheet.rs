//! Text for files that spreadsheets open.

/// Takes the meaning from text that a spreadsheet would run as a formula
/// (<https://owasp.org/www-community/attacks/CSV_Injection>).
pub fn neutralise(text: &str) -> String {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{text}") } else { text.to_owned() }
}
