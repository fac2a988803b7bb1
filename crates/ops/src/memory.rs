//! Freed memory that stays with the process.

/// Asks the allocator to keep freed memory instead of giving it back, and returns whether it agreed.
///
/// Training frees and allocates the same feature maps in every step. By default, the C library of Linux
/// returns large blocks to the operating system, which hands them out again as zeroed pages, one page
/// fault each: that costs more than most operations here (the gradient of a convolution at full
/// resolution becomes three times as fast without). The price is that the process keeps its peak memory
/// until it ends. All threads then also share one heap: what one has freed another can use, and it knows no limit
/// of size. Call it once, at the start of a program, before there are threads.
///
/// Other C libraries are left as they are, and `false` is returned.
///
/// # Examples
///
/// ```
/// let agreed = duomo_ops::keep_freed_memory();
/// assert_eq!(agreed, cfg!(all(target_os = "linux", target_env = "gnu")));
/// ```
pub fn keep_freed_memory() -> bool {
    imp::keep_freed_memory()
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod imp {
    use std::ffi::c_int;

    unsafe extern "C" {
        /// `mallopt(3)` of glibc.
        safe fn mallopt(parameter: c_int, value: c_int) -> c_int;
    }

    // Values of glibc's <malloc.h>.
    const M_TRIM_THRESHOLD: c_int = -1;
    const M_TOP_PAD: c_int = -2;
    const M_MMAP_MAX: c_int = -4;
    const M_ARENA_MAX: c_int = -8;

    /// Bytes by which the heap grows at least.
    const GROWTH: c_int = 64 << 20;

    pub(super) fn keep_freed_memory() -> bool {
        let settings = [
            (M_MMAP_MAX, 0),
            (M_TRIM_THRESHOLD, c_int::MAX),
            (M_TOP_PAD, GROWTH),
            (M_ARENA_MAX, 1),
        ];
        settings.into_iter().all(|(parameter, value)| mallopt(parameter, value) == 1)
    }
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
mod imp {
    pub(super) fn keep_freed_memory() -> bool {
        false
    }
}
