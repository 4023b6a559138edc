use std::net::TcpListener;

/// A port of loopback that nobody listens on. It is below those that systems give to connections: one of those, free now,
/// may be somebody's when the server starts.
pub fn free_port() -> u16 {
    let is_free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
    std::iter::repeat_with(|| rand::random_range(20_000..32_000)).take(100).find(is_free).expect("no port is free")
}
