"""What may be typed at Asterisk's prompt, and at FreePBX's, which is Asterisk's and `fwconsole`.

Not here, for good: `pjsip show auth`, `dialplan show` (PINs stand in applications' arguments), `dialplan show globals`,
`pjsip export config_wizard`, `voicemail show users for` (PINs), `core show channel` (a call's variables), `core show
channels verbose` (arguments in a column of their own, where none can be told from a PIN), `realtime`, `database`,
`config`, `!`, and whatever else is on no list. `fwconsole restart` wants root, which nothing of ours is.
"""

from __future__ import annotations

from typing import Final

from connectors.console.grammar import NAME, Class, Entry, Slot

LOOK, ACT = Class.LOOK, Class.ACT
_LIVE: Final = "seen free of secrets on Asterisk 22.10.1"
_DID: Final = "done on a live Asterisk 22.10.1"
_COUNTS: Final = "it prints counts and times"
_STATES: Final = "it prints names, network addresses and states"
_DONE: Final = "it prints whether it was done"
_PINS: Final = "an application's argument can be a PIN: those of applications that take one are withheld"
CHANNEL: Final = Slot(
    "CHANNEL", r"[A-Za-z]{2,12}/[A-Za-z0-9][A-Za-z0-9._@-]{0,63}-[0-9a-f]{8}", example="PJSIP/2001-0000001a"
)
_MODULE: Final = Slot("MODULE", choices=("res_pjsip.so", "app_voicemail.so", "pbx_config.so", "app_queue.so"))

# Asterisk prints a telephone's variables in one list with its options, by their own names (seen live): nothing tells
# them apart but the names of the options. These are those of Asterisk 16 to 23, res_pjsip/pjsip_configuration.c.
_OPTIONS: Final = (
    "100rel accept_multiple_sdp_answers accountcode acl aggregate_mwi allow allow_overlap allow_subscribe "
    "allow_transfer allow_unauthenticated_options aors asymmetric_rtp_codec auth bind_rtp_to_media_address bundle "
    "call_group callerid callerid_privacy callerid_tag codec_prefs_incoming_answer codec_prefs_incoming_offer "
    "codec_prefs_outgoing_answer codec_prefs_outgoing_offer connected_line_method contact_acl contact_deny "
    "contact_permit contact_user context cos_audio cos_video deny device_state_busy_at direct_media "
    "direct_media_glare_mitigation direct_media_method disable_direct_media_on_nat disallow "
    "dtls_auto_generate_cert dtls_ca_file dtls_ca_path dtls_cert_file dtls_cipher dtls_fingerprint "
    "dtls_private_key dtls_rekey dtls_setup dtls_verify dtmf_mode fax_detect fax_detect_timeout "
    "follow_early_media_fork follow_redirect_methods force_avp force_rport from_domain from_user "
    "g726_non_standard geoloc_incoming_call_profile geoloc_outgoing_call_profile ice_support identify_by "
    "ignore_183_without_sdp inband_progress incoming_call_offer_pref incoming_mwi_mailbox language mailboxes "
    "max_audio_streams max_video_streams media_address media_encryption media_encryption_optimistic "
    "media_use_received_transport message_context moh_passthrough moh_suggest mwi_from_user "
    "mwi_subscribe_replaces_unsolicited named_call_group named_pickup_group notify_early_inuse_ringing "
    "one_touch_recording outbound_auth outbound_proxy outgoing_call_offer_pref overlap_context permit "
    "pickup_group preferred_codec_only record_off_feature record_on_feature redirect_method refer_blind_progress "
    "rewrite_contact rpid_immediate rtcp_mux rtp_engine rtp_ipv6 rtp_keepalive rtp_port_end rtp_port_start "
    "rtp_symmetric rtp_timeout rtp_timeout_hold sdp_owner sdp_session security_mechanisms security_negotiation "
    "send_aoc send_connected_line send_diversion send_history_info send_pai send_rpid srtp_tag_32 stir_shaken "
    "stir_shaken_profile sub_min_expiry subscribe_context suppress_moh_on_sendonly suppress_q850_reason_headers "
    "t38_bind_udptl_to_media_address t38_udptl t38_udptl_ec t38_udptl_ipv6 t38_udptl_maxdatagram t38_udptl_nat "
    "tenantid timers timers_min_se timers_sess_expires tone_zone tos_audio tos_video transport "
    "trust_connected_line trust_id_inbound trust_id_outbound type use_avpf use_ptime user_eq_phone "
    "voicemail_extension webrtc ParameterName"
)
OPTIONS: Final = tuple(_OPTIONS.split())

ASTERISK: Final = (
    Entry(LOOK, ("core", "show", "version"), "the version of Asterisk", "it prints one line of our choice", _LIVE),
    Entry(LOOK, ("core", "show", "uptime"), "how long it has been running", _COUNTS, _LIVE),
    Entry(LOOK, ("core", "show", "channels"), "calls going on now", _PINS, _LIVE),
    Entry(LOOK, ("core", "show", "calls"), "how many calls go on and went on", _COUNTS, _LIVE),
    Entry(
        LOOK, ("manager", "show", "connected"), "programs connected to its management interface",
        "it prints accounts' names, and where they came from", _LIVE,
    ),
    Entry(LOOK, ("module", "show", "like", NAME), "modules whose name holds NAME", "it prints modules' names", _LIVE),
    Entry(LOOK, ("pjsip", "show", "endpoints"), "every telephone and whether it is reachable", _STATES, _LIVE),
    Entry(
        LOOK, ("pjsip", "show", "endpoint", NAME), "one telephone",
        "it prints the name of the password's section, never the password; variables of the telephone are withheld, "
        "and whatever else is no option that we know",
        _LIVE, withheld=("set_var",), shown=OPTIONS,
    ),
    Entry(LOOK, ("pjsip", "list", "endpoints"), "every telephone, a line each", _STATES, _LIVE),
    Entry(LOOK, ("pjsip", "show", "aors"), "addresses of record", _STATES, _LIVE),
    Entry(LOOK, ("pjsip", "show", "contacts"), "registered telephones", _STATES, _LIVE),
    Entry(LOOK, ("pjsip", "show", "registrations"), "registrations with providers", _STATES, _LIVE),
    Entry(
        LOOK, ("voicemail", "show", "users"), "mailboxes and how many messages wait",
        "it prints names and counts; only with `for`, which is not taken, would it print PINs", _LIVE,
    ),
    Entry(
        LOOK, ("queue", "show"), "queues: who answers them and who waits", "it prints names, calls and times",
        _LIVE, extra=True,
    ),
    Entry(
        LOOK, ("queue", "show", NAME), "one queue: who answers it and who waits", "it prints names, calls and times",
        _LIVE, extra=True,
    ),
    Entry(
        ACT, ("pjsip", "qualify", NAME), "ask one telephone whether it answers", _DONE, _DID,
    ),
    Entry(
        ACT, ("module", "reload", _MODULE), "have one part read its configuration again; calls go on", _DONE,
        _DID,
    ),
    Entry(
        ACT, ("dialplan", "reload"), "have the dialplan read again; calls go on", _DONE,
        _DID,
    ),
    Entry(
        ACT, ("voicemail", "reload"), "have the mailboxes read again", _DONE,
        _DID,
    ),
    Entry(
        ACT, ("pjsip", "send", "register", NAME), "register with one provider again", _DONE,
        _DID,
    ),
    Entry(
        ACT, ("pjsip", "send", "unregister", NAME), "drop the registration with one provider: its calls stay away",
        _DONE, _DID,
    ),
    Entry(
        ACT, ("core", "reload"), "have every part read its configuration again; calls go on", _DONE,
        _DID, extra=True,
    ),
    Entry(
        ACT, ("channel", "request", "hangup", CHANNEL), "end one call", _DONE, _DID,
        extra=True,
    ),
    Entry(
        ACT, ("core", "restart", "gracefully"), "take no new call, and restart when the last has ended", _DONE,
        _DID, extra=True,
    ),
    Entry(
        ACT, ("core", "abort", "shutdown"), "take back a restart that waits for calls to end", _DONE,
        _DID, extra=True,
    ),
)  # fmt: skip

_CONSOLE: Final = "FreePBX's source, framework, libraries/Console"
FREEPBX: Final = (
    *ASTERISK,
    Entry(
        LOOK, ("fwconsole", "ma", "list"), "FreePBX's modules and their versions",
        "it prints modules' names; only rows of its table are shown",
        f"{_CONSOLE}/Moduleadmin.class.php",
    ),
    Entry(
        LOOK, ("fwconsole", "notifications", "--list"), "what FreePBX's dashboard tells",
        "it prints what stands on the dashboard's first page; only rows of its table are shown",
        f"{_CONSOLE}/Notifications.class.php",
    ),
    Entry(
        ACT, ("fwconsole", "reload"), "write Asterisk's files from FreePBX's database, and have them read",
        "its own output is dropped: where it fails it traces calls, passwords among their arguments",
        f"{_CONSOLE}/Reload.class.php",
    ),
)  # fmt: skip
