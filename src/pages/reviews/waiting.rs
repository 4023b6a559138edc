use crate::{
    protocol::{
        client::{ClientError, ListedReview, ReviewQuery},
        review::{Review, ReviewState, Subject},
    },
    session::SignedIn,
};

/// The most reviews that the inbox shows at once.
const SHOWN: usize = 100;

/// The reviews that wait, the oldest on top.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Waiting {
    pub reviews: Vec<ListedReview>,
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

/// Whether who is signed in may decide about a review at the hub, if it is as its hash says.
pub fn may_decide(me: &SignedIn, review: &Review, is_true: bool) -> bool {
    me.permissions.may_decide_reviews()
        && me.user.organization_id == Some(review.organization_id)
        && !review.only_at_node
        && is_true
}

/// Whether it may be decided together with others. A result is looked at by itself: to withhold it deletes it.
pub fn may_choose(me: &SignedIn, ListedReview { review, is_true }: &ListedReview) -> bool {
    review.subject == Subject::Run && may_decide(me, review, *is_true)
}
