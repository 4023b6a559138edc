//! How many items the pages of a list may have.

use super::large_answer::PAGE_BYTES;

/// Which numbers of items a page can have: the one that was asked for, its half, the half of that, …; those of which a
/// page is too large fall out.
pub struct PageSizes {
    row: usize,
    /// The numbers that are left, the smallest first, with the bytes of the page that is being filled.
    left: Vec<(usize, i64)>,
}

impl PageSizes {
    /// This number and those below it.
    pub fn up_to(per_page: usize) -> PageSizes {
        let mut left: Vec<(usize, i64)> = std::iter::successors(Some(per_page), |number| Some(number / 2))
            .take_while(|number| *number > 1)
            .map(|number| (number, 0))
            .collect();
        left.reverse();
        PageSizes { row: 0, left }
    }

    /// Takes the next row.
    pub fn add(&mut self, bytes: i64) {
        let row = self.row;
        self.left.retain_mut(|(per_page, page)| {
            let before = if row.is_multiple_of(*per_page) { 0 } else { *page };
            *page = before.saturating_add(bytes);
            *page <= PAGE_BYTES
        });
        self.row += 1;
    }

    /// The largest number of which every page is small enough.
    pub fn largest(&self) -> usize {
        self.left.last().map_or(1, |(per_page, _)| *per_page)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_of_what_is_large_have_fewer_items() {
        let largest = |per_page: usize, sizes: &[i64]| {
            let mut pages = PageSizes::up_to(per_page);
            sizes.iter().for_each(|bytes| pages.add(*bytes << 20));
            pages.largest()
        };
        assert_eq!(largest(10, &[4; 8]), 10);
        assert_eq!(largest(10, &[4; 9]), 5);
        assert_eq!(largest(10, &[1, 1, 1, 1, 1, 16, 16, 1]), 2);
        // Also the last page has to fit.
        assert_eq!(largest(4, &[1, 1, 1, 1, 17, 17]), 1);
        assert_eq!(largest(10, &[40, 1, 1]), 1);
        assert_eq!(largest(1, &[1]), 1);
    }
}
