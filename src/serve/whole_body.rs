//! Bodies in one piece. In the pieces in which they came they can take a hundred times as much memory: each piece holds what was
//! read of the connection with it.

use axum::{
    body::{Body, HttpBody},
    extract::Request,
    http::StatusCode,
    middleware::Next,
    response::{IntoResponse, Response},
};
use futures::StreamExt;

/// Reads a body of at most so many bytes; else what is answered.
pub async fn whole_body(body: Body, limit: usize) -> Result<Vec<u8>, StatusCode> {
    // What is announced to be too large is not read at all.
    if body.size_hint().lower() > limit as u64 {
        return Err(StatusCode::PAYLOAD_TOO_LARGE);
    }
    let mut pieces = body.into_data_stream();
    let mut whole = Vec::new();
    while let Some(piece) = pieces.next().await {
        let piece = piece.map_err(|_| StatusCode::BAD_REQUEST)?;
        if whole.len() + piece.len() > limit {
            return Err(StatusCode::PAYLOAD_TOO_LARGE);
        }
        whole.extend_from_slice(&piece);
    }
    Ok(whole)
}

/// For routes of small forms: their handlers get the body in one piece.
pub async fn in_one_piece<const LIMIT: usize>(request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    match whole_body(body, LIMIT).await {
        Ok(whole) => next.run(Request::from_parts(parts, Body::from(whole))).await,
        Err(status) => status.into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_body_of_many_pieces_is_one_piece_and_no_longer_than_it_may_be() {
        let pieces = |number: usize| {
            let pieces = (0..number).map(|_| Ok::<_, std::io::Error>(axum::body::Bytes::from_static(b"a")));
            Body::from_stream(futures::stream::iter(pieces))
        };
        let whole = whole_body(pieces(1_000), 1_000).await.unwrap();
        assert!(whole.len() == 1_000 && whole.capacity() < 4_000);
        assert_eq!(whole_body(pieces(1_001), 1_000).await, Err(StatusCode::PAYLOAD_TOO_LARGE));
        assert_eq!(whole_body(Body::from(vec![0; 1_001]), 1_000).await, Err(StatusCode::PAYLOAD_TOO_LARGE));
        let broken = futures::stream::iter([Err::<axum::body::Bytes, _>(std::io::Error::other("gone"))]);
        assert_eq!(whole_body(Body::from_stream(broken), 1_000).await, Err(StatusCode::BAD_REQUEST));
    }
}
