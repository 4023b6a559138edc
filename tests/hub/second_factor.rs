//! Codes of an authenticator app: set up, asked for, once only, and not to be guessed.

use serde_json::{Value, json};

use crate::{
    POST,
    support::{
        PASSWORD, World, eventually,
        mail::MailSink,
        second_factor::{code_at, code_of},
    },
};

async fn attempt(world: &World, username: &str, code: Option<&str>) -> (u16, Value) {
    let body = json!({"username": username, "password": PASSWORD, "mfa_code": code});
    let (status, answer) = world.call(POST, "token/user", None, Some(&body)).await;
    (status.as_u16(), answer)
}

/// A world in which everybody needs a code, and the key of this user, who has set it up and used the present code.
async fn set_up(username: &str) -> (World, String, String) {
    let world = World::with(true).await;
    let (status, answer) = attempt(&world, username, None).await;
    assert_eq!(status, 200, "{answer}");
    assert!(answer["access_token"].is_null(), "no session without a code");
    assert!(answer["qr_uri"].as_str().unwrap().starts_with("otpauth://totp/"), "{answer}");
    let key = answer["otp_secret"].as_str().unwrap().to_owned();
    let code = code_of(&key);
    let (status, answer) = attempt(&world, username, Some(&code)).await;
    assert_eq!(status, 200, "{answer}");
    assert!(answer["access_token"].is_string());
    (world, key, code)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_is_asked_for_and_taken_once() {
    let (world, key, used) = set_up("viewer").await;
    let (status, answer) = attempt(&world, "viewer", None).await;
    assert_eq!(status, 200);
    let keys: Vec<&String> = answer.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["msg"], "the secret is told once");
    assert_eq!(attempt(&world, "viewer", Some(&used)).await.0, 401, "used already");
    let next = code_at(&key, 1);
    assert_eq!(attempt(&world, "viewer", Some(&next)).await.0, 200);
    assert_eq!(attempt(&world, "viewer", Some(&next)).await.0, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_codes_lock_the_account_and_asking_for_help_does_not_unlock_it() {
    let (world, key, _) = set_up("viewer").await;
    let right = code_at(&key, 1);
    let wrong = format!("{:06}", (right.parse::<u32>().unwrap() + 1) % 1_000_000);
    let lost = json!({"username": "viewer", "password": PASSWORD});
    for _ in 0..5 {
        assert_eq!(attempt(&world, "viewer", Some(&wrong)).await.0, 401);
        // Whoever knows the password must not get new tries at the code by this.
        world.call(POST, "recover/2fa/lost", None, Some(&lost)).await;
        attempt(&world, "viewer", None).await;
    }
    // Fresh: the one of before may be too old by now.
    assert_eq!(attempt(&world, "viewer", Some(&code_at(&key, 1))).await.0, 401, "locked");
    // Others are not.
    assert_eq!(attempt(&world, "admin1", None).await.0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_admin_lets_somebody_set_up_a_new_one_and_nobody_else_does() {
    let (world, secret, used) = set_up("researcher").await;
    let step = code_at(&secret, 1);
    assert_ne!(step, used);
    let (_, signed_in) = attempt(&world, "researcher", Some(&step)).await;
    let token = signed_in["access_token"].as_str().unwrap().to_owned();
    let path = "user/1/reset-second-factor";
    assert_eq!(world.call(reqwest::Method::POST, path, Some(&token), None).await.0, 401, "not oneself");
    let (_, admin) = attempt(&world, "admin1", None).await;
    let code = crate::support::second_factor::code_of(admin["otp_secret"].as_str().unwrap());
    let (_, admin) = attempt(&world, "admin1", Some(&code)).await;
    let admin = admin["access_token"].as_str().unwrap();
    assert_eq!(world.call(reqwest::Method::POST, path, Some(admin), None).await.0, 200);
    assert_eq!(world.get("task", &token).await.0, 401, "the sessions have ended");
    let (_, again) = attempt(&world, "researcher", None).await;
    assert_ne!(again["otp_secret"].as_str().unwrap(), secret);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_is_lost_is_replaced_by_mail_and_asked_for_from_then_on() {
    let sink = MailSink::start().await;
    let world = World::with_mail(false, &sink).await;
    let token = world.token("viewer").await;
    let begun = json!({"password": PASSWORD});
    let (status, begun) = world.call(POST, "account/second-factor", Some(&token), Some(&begun)).await;
    assert_eq!(status, 200, "{begun}");
    let first = begun["otp_secret"].as_str().unwrap().to_owned();
    let confirm = json!({"mfa_code": code_of(&first)});
    let (status, confirmed) = world.call(POST, "account/second-factor/confirm", Some(&token), Some(&confirm)).await;
    assert_eq!(status, 200, "{confirmed}");
    let lost = json!({"username": "viewer", "password": PASSWORD});
    // A stranger who asks for a new password for them delays nothing.
    world.call(POST, "recover/lost", None, Some(&json!({"username": "viewer"}))).await;
    eventually(async || !sink.mails().is_empty()).await;
    assert_eq!(world.call(POST, "recover/2fa/lost", None, Some(&lost)).await.0, 200);
    let (status, again) = world.call(POST, "recover/2fa/lost", None, Some(&lost)).await;
    assert!(status == 400 && again["msg"].as_str().unwrap().contains("15 minutes"), "{again}");
    let mut code = None;
    eventually(async || {
        let mails = sink.mails().concat().replace("=\r\n", "").replace("=3D", "=");
        code =
            mails.split("/second-factor/reset#").nth(1).map(|rest| rest.split_whitespace().next().unwrap().to_owned());
        code.is_some()
    })
    .await;
    let reset = json!({"reset_token": code.unwrap()});
    let (status, replaced) = world.call(POST, "recover/2fa/reset", None, Some(&reset)).await;
    assert_eq!(status, 200, "{replaced}");
    let second = replaced["otp_secret"].as_str().unwrap().to_owned();
    // The password alone opens nothing, and does not show the new secret.
    let (status, asked) = attempt(&world, "viewer", None).await;
    assert!(status == 200 && asked["access_token"].is_null() && asked["otp_secret"].is_null(), "{asked}");
    for wrong in ["000000".to_owned(), code_of(&first)] {
        assert_eq!(attempt(&world, "viewer", Some(&wrong)).await.0, 401);
    }
    let (status, signed_in) = attempt(&world, "viewer", Some(&code_of(&second))).await;
    assert!(status == 200 && signed_in["access_token"].is_string(), "{signed_in}");
    // Whoever gave the right password and had no code stands in the log.
    let (_, log) = world.get("audit?action=sign_in.code", &world.token("auditor").await).await;
    assert_eq!(log["data"][0]["subject"], "user 5", "{log}");
    // So does the old token.
    assert_eq!(world.get("task", &token).await.0, 401);
    let (_, log) = world.get("audit?action=token.ended", &world.token("auditor").await).await;
    assert_eq!(log["data"][0]["subject"], "user 5", "{log}");
}
