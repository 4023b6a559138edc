use leptos::prelude::*;
use qrcode::{QrCode, render::svg};
use secrecy::ExposeSecret;

use crate::protocol::client::SecondFactor;

/// How an authenticator app learns the secret: by its camera, or typed.
#[component]
pub fn SetUp(second_factor: SecondFactor) -> impl IntoView {
    let image = QrCode::new(second_factor.qr_uri.expose_secret().as_bytes()).ok().map(|code| {
        // Black on white in the dark, too: cameras want it so.
        code.render::<svg::Color>().min_dimensions(200, 200).build()
    });
    view! {
        <p>
            "Scan this with an authenticator app on your phone (Aegis, Google Authenticator, Microsoft Authenticator \
             or another). Then enter the six digits that it shows."
        </p>
        {image.map(|image| view! {
            <div class="qr-code" role="img" aria-label="QR code for an authenticator app" inner_html=image></div>
        })}
        <p>"Without a camera, type this key into the app: " <code class="secret">{grouped(second_factor.secret.expose_secret())}</code></p>
    }
}

/// In groups of four, as people type.
fn grouped(secret: &str) -> String {
    let characters: Vec<char> = secret.chars().collect();
    characters.chunks(4).map(|group| group.iter().collect::<String>()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    #[test]
    fn keys_stand_in_groups() {
        assert_eq!(super::grouped("ABCDEFGHIJ"), "ABCD EFGH IJ");
    }
}
