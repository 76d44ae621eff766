"""Where each case from the field has its tests: the number of its row, and `path::name` below tests/."""

ROWS: dict[int, tuple[str, ...]] = {
    1: (
        "edge/cameras/test_health.py::test_a_repeated_picture_is_a_fault_after_0_3_s_and_a_doubt_before",
        "edge/cameras/test_health.py::test_a_picture_that_stays_while_the_base_turns_is_a_fault",
        "sim/realtime/test_camera_faults.py::test_a_camera_that_fails_on_the_way_stops_the_base",
    ),
    2: (
        "edge/cameras/test_health.py::test_stamps_of_another_clock_are_told_by_the_third_frame",
        "edge/runtime/test_camera_faults.py::test_stamps_of_another_clock_never_get_as_far_as_arming",
        "sim/realtime/test_camera_faults.py::test_a_camera_that_fails_on_the_way_stops_the_base",
    ),
    3: (
        "edge/cameras/test_health.py::test_stamps_that_go_back_now_and_then_are_dropped_and_counted",
        "edge/cameras/test_health.py::test_stamps_that_go_back_often_are_a_fault",
        "edge/runtime/test_camera_faults.py::test_frames_with_odd_stamps_are_left_out_and_counted_by_camera",
    ),
    4: (
        "edge/cameras/gstreamer/test_lag.py::test_after_a_reader_stood_still_its_images_are_fresh_again_within_half_a_second",
    ),
    5: (
        "edge/cameras/test_recordings.py::test_the_views_options_change_what_is_played_and_shown",
        "sim/test_hanging.py::test_it_drives_as_without_and_sees_the_world_on_its_head_where_nobody_flips",
    ),
    6: (
        "edge/cameras/test_recordings.py::test_a_container_with_an_absurd_rate_is_played_at_30_hz_and_says_so",
        "edge/cameras/test_recordings.py::test_a_container_with_an_absurd_rate_but_times_is_played_by_them",
    ),
    7: ("edge/cameras/test_recordings.py::test_a_video_of_a_variable_rate_keeps_the_times_of_its_frames",),
    8: (
        "edge/cameras/test_recordings.py::test_frames_that_can_not_be_decoded_are_skipped_counted_and_said",
        "edge/cameras/test_recordings.py::test_bad_bytes_in_h264_are_counted_by_the_index",
    ),
    9: (
        "edge/cameras/test_recordings.py::test_a_video_that_was_cut_short_says_that_its_index_is_missing",
        "edge/cameras/test_recordings.py::test_an_avi_that_was_cut_short_is_played_and_says_so",
    ),
    10: ("edge/cameras/test_recordings.py::test_a_box_is_forgotten_when_pictures_change_their_shape",),
    11: (
        "edge/cameras/test_recordings.py::test_a_broken_picture_is_named_before_any_is_shown",
        "edge/cameras/test_recordings.py::test_what_is_hidden_and_folders_are_left_out",
    ),
    12: ("edge/cameras/test_recordings.py::test_pictures_of_16_bits_are_refused_with_their_values",),
    13: ("edge/cameras/test_recordings.py::test_numbers_in_names_count_as_numbers",),
    14: (
        "edge/cameras/test_frame_sizes.py::test_a_video_that_changes_its_size_is_refused_with_both_sizes_and_the_frame",
        "edge/cameras/test_health.py::test_a_picture_of_another_size_is_a_fault",
    ),
    15: (
        "edge/cameras/gstreamer/test_v4l2.py::test_raw_pictures_that_fill_the_bus_are_told_which_formats_would_do",
        "edge/cameras/test_health.py::test_a_slow_camera_is_a_fault_with_the_rate_and_the_rate_needed",
        "edge/doctor/test_doctor.py::test_a_slow_camera_is_told_with_its_rate_and_what_would_help",
    ),
    16: (
        "edge/runtime/test_hold.py::test_a_run_goes_on_after_its_camera_s_process_was_killed",
        "edge/cameras/gstreamer/test_camera.py::test_a_camera_whose_process_is_killed_comes_back_and_its_frames_go_on",
        "edge/cameras/gstreamer/test_camera.py::test_a_stream_that_ends_again_and_again_is_given_up_with_the_camera_s_name",
        "edge/cameras/test_health.py::test_a_camera_that_was_away_and_came_back_is_not_called_slow",
    ),
    17: (
        "edge/cameras/test_health.py::test_a_camera_without_sight_holds_the_base_and_is_a_fault_after_0_5_s",
        "edge/runtime/test_camera_faults.py::test_a_camera_that_goes_black_holds_the_base_then_stops_the_drive_and_no_claim_counts",
        "sim/realtime/test_camera_faults.py::test_a_camera_that_fails_on_the_way_stops_the_base",
    ),
    18: (
        "edge/cameras/test_packaged.py::test_a_declared_channel_order_is_put_right_once_a_frame_and_none_is_guessed",
        "edge/runtime/test_camera_faults.py::test_channels_that_a_camera_declares_are_put_right_and_never_guessed",
    ),
    19: (
        "edge/cameras/test_recordings.py::test_grey_palettes_and_odd_sizes_are_read",
        "edge/cameras/test_recordings.py::test_a_picture_is_turned_as_its_exif_says_and_inks_become_colours",
    ),
    20: (
        "edge/motor/drivers/test_mavlink_field.py::test_an_operator_who_takes_over_has_the_base_alone",
        "edge/motor/drivers/test_mavlink_field.py::test_a_takeover_ends_the_drive_and_says_so",
        "edge/motor/drivers/test_mavlink_parts.py::test_the_mode_is_told_by_number_where_the_flag_says_too_little",
    ),
    21: (
        "edge/motor/drivers/test_mavlink_field.py::test_sideways_setpoints_never_reach_a_base_that_would_drive_them_forward",
        "edge/motor/drivers/test_mavlink_field.py::test_an_ardurover_is_never_taken_for_omnidirectional",
        "edge/motor/test_loop.py::test_a_holonomic_robot_is_refused_by_motors_whose_base_never_goes_sideways",
    ),
    22: (
        "edge/motor/drivers/test_mavlink_field.py::test_the_base_is_the_autopilot_whoever_is_heard_first",
        "edge/motor/drivers/test_mavlink_field.py::test_without_a_base_whoever_is_heard_is_named",
        "edge/motor/drivers/test_mavlink_field.py::test_of_several_rovers_one_is_named_or_none_is_driven",
    ),
    23: (
        "edge/motor/drivers/test_mavlink_field.py::test_a_refusal_to_arm_comes_with_the_bases_own_words",
        "edge/motor/drivers/test_mavlink_field.py::test_the_reason_for_not_arming_reaches_the_operator",
        "edge/motor/drivers/test_mavlink_parts.py::test_texts_are_kept_from_warnings_up_for_five_seconds_each_once",
    ),
    24: (
        "edge/motor/drivers/test_mavlink_field.py::test_a_base_that_boots_in_hold_is_asked_for_guided_and_never_armed_before",
        "edge/motor/drivers/test_mavlink_field.py::test_a_base_in_hold_is_switched_with_the_operators_consent",
        "edge/motor/drivers/test_mavlink_parts.py::test_switching_to_guided_is_offered_where_the_driver_can",
    ),
    25: (
        "edge/motor/drivers/test_mavlink_field.py::test_answers_to_others_and_unasked_answers_change_nothing",
        "edge/motor/drivers/test_mavlink_field.py::test_an_answer_to_a_ground_station_does_not_stand_for_ours",
        "edge/motor/drivers/test_mavlink_field.py::test_in_progress_is_not_an_answer",
    ),
    26: (
        "edge/motor/drivers/test_mavlink_field.py::test_a_second_battery_does_not_stand_for_the_bases_own",
        "edge/motor/drivers/test_mavlink_parts.py::test_the_battery_is_that_of_sys_status_until_its_own_message_comes",
    ),
    27: (
        "edge/motor/drivers/test_mavlink_field.py::test_odometry_that_gets_unusable_grows_old",
        "edge/motor/drivers/test_mavlink_field.py::test_lost_odometry_stops_the_base",
        "edge/motor/drivers/test_mavlink_field.py::test_motion_is_measured_in_the_bodys_frame",
    ),
    28: (
        "edge/motor/drivers/test_mavlink_field.py::test_a_base_that_measures_no_motion_is_warned_of",
        "edge/motor/drivers/test_mavlink_field.py::test_a_base_that_stands_though_it_says_that_it_is_driven_stops_the_run",
        "edge/motor/drivers/test_mavlink_field.py::test_a_base_that_is_heard_and_does_not_hear_names_the_wire",
    ),
    29: (
        "edge/motor/drivers/test_mavlink_field.py::test_a_base_that_drives_on_without_setpoints_is_warned_of",
        "edge/robots/test_stop_test.py::test_row_29_a_base_with_a_timeout_of_300_ms_is_measured",
        "edge/robots/test_stop_test.py::test_row_29_a_base_that_stops_late_or_never_is_written_down_and_stopped_for_real",
    ),
    30: (
        "edge/motor/guard/test_by_way.py::test_a_base_of_fixed_speed_really_goes_no_farther",
        "edge/navigation/test_servo.py::test_a_base_that_turns_by_steps_is_not_turned_for_what_a_step_would_overshoot",
        "edge/policies/test_instructed.py::test_a_base_of_fixed_speed_goes_no_farther_on_one_answer_either",
    ),
    31: ("edge/doctor/test_doctor.py::test_row_31_what_ros_lacks_is_named",),
    32: (
        "edge/doctor/test_doctor.py::test_row_32_the_owner_of_a_port_is_named",
        "edge/doctor/test_doctor.py::test_row_32_who_holds_a_port_of_this_machine_is_named",
    ),
    33: (
        "edge/motor/drivers/test_mavlink_field.py::test_mavlink_1_is_understood",
        "edge/motor/drivers/test_mavlink_lines.py::test_junk_and_half_packets_between_packets_are_passed_over",
    ),
    34: (
        "edge/motor/test_process.py::test_chunks_by_way_go_no_farther_and_the_base_holds_and_moves_again",
        "edge/navigation/test_detour.py::test_a_slow_policy_that_turns_to_and_fro_sees_nothing_new",
        "edge/policies/test_driver.py::test_answers_that_come_late_make_the_base_slower_instead_of_stopping_it",
    ),
    35: ("faults/test_causes.py::test_row_35_a_machine_that_halts_again_and_again_is_named",),
    36: (
        "edge/commands/test_run.py::test_row_36_a_summary_that_can_not_be_printed_leaves_the_exit_code",
        "sim/realtime/test_full_disk.py::test_row_36_a_full_disk_leaves_the_drives_own_end_and_one_more_line",
        "sim/realtime/test_full_disk.py::test_row_36_a_pulled_card_leaves_the_drives_own_end_and_one_more_line",
    ),
    37: (
        "edge/engines/test_tensorrt.py::test_row_37_a_plan_stays_good_when_an_update_renames_the_board",
        "edge/engines/test_tensorrt.py::test_row_37_a_plan_for_more_multiprocessors_is_refused",
    ),
    38: (
        "edge/board/test_identity.py::test_row_38_no_text_of_a_release_file_is_a_crash",
        "edge/doctor/test_doctor.py::test_row_38_a_container_with_an_empty_release_file",
        "edge/engines/test_tensorrt.py::test_row_38_an_odd_release_file_is_unknown",
    ),
    39: ("edge/engines/test_tensorrt.py::test_plans_of_another_place_are_refused_unloaded",),
    40: ("edge/runs/test_folder.py::test_row_40_folders_sort_as_the_runs_came_whatever_the_clock_says",),
    41: (
        "edge/runtime/start/test_loading.py::test_a_model_that_loads_for_minutes_is_shown_each_second_and_then_driven",
        "edge/runtime/start/test_loading.py::test_the_limit_grows_with_the_size_and_its_error_says_both",
        "edge/runtime/start/test_loading.py::test_a_first_answer_that_never_comes_ends_with_a_hint",
    ),
    42: (
        "edge/cameras/gstreamer/test_process.py::test_a_child_is_asked_then_interrupted_then_killed",
        "edge/cameras/gstreamer/test_process.py::test_after_a_kill_the_daemon_is_restarted_and_the_camera_comes_back",
        "edge/cameras/gstreamer/test_process.py::test_a_daemon_that_may_not_be_restarted_latches_with_the_command",
    ),
    43: ("edge/doctor/test_doctor.py::test_an_orin_super_with_jetpack_7",),
    44: (
        "edge/board/test_steady.py::test_row_44_figures_name_their_board_and_power_mode",
        "edge/board/test_steady.py::test_row_44_a_power_mode_that_changes_meanwhile_spoils_the_figures",
    ),
}

# What has no test, and why.
MISSING: dict[int, str] = {
    45: "there is no recorder yet whose recordings could be converted",
}
