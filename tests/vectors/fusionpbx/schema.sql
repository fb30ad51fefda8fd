-- The tables of FusionPBX 5.6 that its connector touches: the columns that it uses, and those with passwords. Written
-- after app/*/app_config.php and core/*/app_config.php of its source; `make test-vendor` compares each with the original.
create table v_domains (
  domain_uuid uuid primary key,
  domain_name text,
  domain_enabled boolean
);
create table v_extensions (
  extension_uuid uuid primary key,
  domain_uuid uuid,
  extension text,
  number_alias text,
  password text,
  accountcode text,
  effective_caller_id_name text,
  directory_first_name text,
  directory_last_name text,
  user_context text,
  follow_me_uuid uuid,
  enabled boolean
);
create table v_extension_users (
  extension_user_uuid uuid primary key,
  domain_uuid uuid,
  extension_uuid uuid,
  user_uuid uuid
);
create table v_extension_settings (
  extension_setting_uuid uuid primary key,
  domain_uuid uuid,
  extension_uuid uuid,
  extension_setting_value text
);
create table v_users (
  user_uuid uuid primary key,
  domain_uuid uuid,
  username text,
  password text,
  salt text,
  user_email text,
  api_key text,
  user_totp_secret text,
  user_enabled boolean
);
create table v_user_groups (
  user_group_uuid uuid primary key,
  domain_uuid uuid,
  group_name text,
  user_uuid uuid
);
create table v_user_settings (
  user_setting_uuid uuid primary key,
  user_uuid uuid,
  domain_uuid uuid,
  user_setting_value text
);
create table v_voicemails (
  domain_uuid uuid,
  voicemail_uuid uuid primary key,
  voicemail_id text,
  voicemail_password text,
  voicemail_mail_to text,
  voicemail_enabled boolean
);
create table v_voicemail_messages (
  domain_uuid uuid,
  voicemail_message_uuid uuid primary key,
  voicemail_uuid uuid,
  message_base64 text
);
create table v_voicemail_options (
  voicemail_option_uuid uuid primary key,
  domain_uuid uuid,
  voicemail_uuid uuid
);
create table v_voicemail_destinations (
  domain_uuid uuid,
  voicemail_destination_uuid uuid primary key,
  voicemail_uuid uuid,
  voicemail_uuid_copy uuid
);
create table v_voicemail_greetings (
  voicemail_greeting_uuid uuid primary key,
  domain_uuid uuid,
  voicemail_id text
);
create table v_follow_me (
  domain_uuid uuid,
  follow_me_uuid uuid primary key
);
create table v_follow_me_destinations (
  domain_uuid uuid,
  follow_me_uuid uuid,
  follow_me_destination_uuid uuid primary key
);
create table v_ring_group_destinations (
  ring_group_destination_uuid uuid primary key,
  domain_uuid uuid,
  destination_number text
);
create table v_device_lines (
  domain_uuid uuid,
  device_line_uuid uuid primary key,
  server_address text,
  user_id text,
  auth_id text,
  password text
);
create table v_destinations (
  domain_uuid uuid,
  destination_uuid uuid primary key,
  dialplan_uuid uuid,
  fax_uuid uuid,
  provider_uuid uuid,
  destination_type text,
  destination_number text,
  destination_trunk_prefix text,
  destination_area_code text,
  destination_prefix text,
  destination_condition_field text,
  destination_number_regex text,
  destination_cid_name_prefix text,
  destination_context text,
  destination_record boolean,
  destination_hold_music text,
  destination_distinctive_ring text,
  destination_ringback text,
  destination_accountcode text,
  destination_type_voice numeric,
  destination_conditions json,
  destination_actions json,
  destination_app text,
  destination_data text,
  destination_order numeric,
  destination_enabled boolean,
  destination_description text
);
create table v_dialplans (
  domain_uuid uuid,
  dialplan_uuid uuid primary key,
  app_uuid uuid,
  dialplan_context text,
  dialplan_name text,
  dialplan_number text,
  dialplan_continue boolean,
  dialplan_xml text,
  dialplan_order numeric,
  dialplan_enabled boolean,
  dialplan_description text
);
create table v_dialplan_details (
  domain_uuid uuid,
  dialplan_uuid uuid,
  dialplan_detail_uuid uuid primary key,
  dialplan_detail_tag text,
  dialplan_detail_type text,
  dialplan_detail_data text,
  dialplan_detail_inline text,
  dialplan_detail_group numeric,
  dialplan_detail_order numeric,
  dialplan_detail_enabled boolean
);
