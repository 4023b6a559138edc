use crate::{
    protocol::{
        client::{ClientError, ReviewQuery},
        review::{Review, ReviewState, Subject},
    },
    session::SignedIn,
};

/// The most reviews that the inbox shows at once.
const SHOWN: usize = 100;

/// The reviews that wait, the oldest on top.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Waiting {
    pub reviews: Vec<Review>,
    /// How many there are in all.
    pub total: usize,
}

/// What waits, of the own organization for those who decide; of all that may be seen for those who only read.
pub async fn load_waiting(me: &SignedIn) -> Result<Waiting, ClientError> {
    let own = me.permissions.may_decide_reviews().then_some(me.user.organization_id).flatten();
    let query =
        ReviewQuery { state: Some(ReviewState::Waiting), organization_id: own, per_page: SHOWN, ..Default::default() };
    let page = me.hub.reviews(&query).await?;
    Ok(Waiting { reviews: page.items, total: page.total })
}

/// Whether who is signed in may decide about a review at the hub.
pub fn may_decide(me: &SignedIn, review: &Review) -> bool {
    me.permissions.may_decide_reviews()
        && me.user.organization_id == Some(review.organization_id)
        && !review.only_at_node
        && is_true(review)
}

/// Whether it may be decided together with others. A result is looked at by itself: to withhold it deletes it.
pub fn may_choose(me: &SignedIn, review: &Review) -> bool {
    review.subject == Subject::Run && may_decide(me, review)
}

/// Whether the hash of a request is that of what is shown: the node computes it anew before anything starts, and a hub
/// that shows something else is found out here.
pub fn is_true(review: &Review) -> bool {
    // That of a result is over the result too, which stays at the node.
    review.subject == Subject::Result || review.request.asked.hash() == review.hash
}
