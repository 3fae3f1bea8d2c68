drop function
    take_from_window(text, bigint, double precision, bigint), give_back_to_window(text, timestamptz, bigint),
    window_of(text), forget_windows(timestamptz);
drop table rate_windows;
