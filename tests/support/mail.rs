//! A mail server on loopback that keeps what it gets.

use std::sync::{Arc, Mutex};

use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
};

/// The mails that arrived.
pub struct MailSink {
    pub url: String,
    mails: Arc<Mutex<Vec<String>>>,
}

impl MailSink {
    pub async fn start() -> MailSink {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("smtp://{}", listener.local_addr().unwrap());
        let mails = Arc::new(Mutex::new(Vec::new()));
        let kept = mails.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(talk(stream, kept.clone()));
            }
        });
        MailSink { url, mails }
    }

    /// Everything that arrived, as it was sent.
    pub fn mails(&self) -> Vec<String> {
        self.mails.lock().unwrap().clone()
    }

    /// The code of the last mail: a line of its own with two dots in it. Lines are joined where the mail broke them.
    pub fn code(&self) -> String {
        let mail = self.mails().pop().expect("a mail");
        let text = mail.replace("=\r\n", "").replace("=3D", "=");
        text.lines().map(str::trim).find(|line| line.starts_with("eyJ")).expect("a code").to_owned()
    }
}

async fn talk(stream: TcpStream, mails: Arc<Mutex<Vec<String>>>) -> Option<()> {
    let (reader, mut writer) = stream.into_split();
    let mut lines = BufReader::new(reader);
    writer.write_all(b"220 sink\r\n").await.ok()?;
    let mut line = String::new();
    while lines.read_line(&mut line).await.ok()? > 0 {
        let command = line.trim_end().to_ascii_uppercase();
        line.clear();
        let answer: &[u8] = if command.starts_with("EHLO") {
            b"250-sink\r\n250 8BITMIME\r\n"
        } else if command == "DATA" {
            writer.write_all(b"354 go on\r\n").await.ok()?;
            let mut mail = String::new();
            while lines.read_line(&mut line).await.ok()? > 0 && line != ".\r\n" {
                mail.push_str(&line);
                line.clear();
            }
            line.clear();
            mails.lock().unwrap().push(mail);
            b"250 kept\r\n"
        } else if command == "QUIT" {
            writer.write_all(b"221 bye\r\n").await.ok()?;
            return Some(());
        } else {
            b"250 well\r\n"
        };
        writer.write_all(answer).await.ok()?;
    }
    Some(())
}
