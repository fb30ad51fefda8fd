<?php
// Frameroom's helper on a FreePBX 16 or 17: people by name, email and direct number, and no password, whatever it is asked.
//
// One file, PHP 7.4 or newer, nothing but what FreePBX itself needs. Reading order: `frameroom_serve` (the wire, as lines
// of JSON), `frameroom_shaped` (all that an answer can hold), `Frameroom_Prompt` (what may be typed at Asterisk's prompt and
// fwconsole's), `Frameroom_Worker` (the process that loads FreePBX's own PHP, and every request that it knows),
// `Frameroom_Person`, `Frameroom_Numbers`, `Frameroom_Mailboxes`.
//
// FreePBX's PHP prints and dies as it likes, sometimes with a password in its words. So it runs in a process of its own
// whose output and errors go nowhere, and what it answers is taken apart and made anew before it is told. Each change ends
// its process, and begins in one that has only just started: what FreePBX remembers is never old, and no secret stays.

const FRAMEROOM_COMMAND = 'frameroom-helper';
const FRAMEROOM_VERSION = 1;
const FRAMEROOM_WRITES = array('alter', 'remove', 'reset');
const FRAMEROOM_READS = array('page', 'find', 'view', 'devices', 'plan', 'rules', 'check');
const FRAMEROOM_LONGEST = 65536; // bytes of a request
const FRAMEROOM_MOST = 500; // people of an answer
const FRAMEROOM_READ_S = 60;
const FRAMEROOM_WRITE_S = 900;
const FRAMEROOM_LOCK_S = 5;
const FRAMEROOM_FRESH_S = 3; // how old what FreePBX remembers may be when something is changed

/** A refusal: a code and a reason, which are told, and no words, which are not. */
final class Frameroom_Fail extends Exception
{
    /** @var string */
    public $told;
    /** @var string */
    public $reason;

    public function __construct($told, $reason)
    {
        parent::__construct($told);
        $this->told = $told;
        $this->reason = $reason;
    }
}

// ---- The wire -------------------------------------------------------------------------------------------------------

/** One line, ASCII. */
function frameroom_line(array $answer)
{
    return json_encode($answer, JSON_INVALID_UTF8_SUBSTITUTE | JSON_UNESCAPED_SLASHES) . "\n";
}

/** What an error is told as. */
function frameroom_told(Frameroom_Fail $fail)
{
    return array('error' => $fail->told, 'reason' => $fail->reason);
}

/** The configuration. It says which program is run, so nobody but its owner may have written it. */
function frameroom_conf($path)
{
    $usual = array(
        'bootstrap' => '/etc/freepbx.conf', 'fwconsole' => array('/usr/sbin/fwconsole'),
        'asterisk' => array('/usr/sbin/asterisk'), 'console' => 'off', 'numbers' => 'plus', 'country_code' => '44',
    );
    $text = @file_get_contents($path);
    $rights = @fileperms($path);
    if ($text === false || $rights === false) {
        throw new Frameroom_Fail('failed', 'conf-unreadable');
    }
    if ($rights & 0022) {
        throw new Frameroom_Fail('failed', 'conf-writable');
    }
    $given = json_decode($text, true);
    if (!is_array($given) || array_diff_key($given, $usual)) {
        throw new Frameroom_Fail('failed', 'conf-unknown');
    }
    $conf = array_merge($usual, $given);
    foreach (array('fwconsole', 'asterisk') as $program) {
        $words = is_array($conf[$program]) ? $conf[$program] : array();
        if (!$words || array_filter($words, 'is_string') !== $words) {
            throw new Frameroom_Fail('failed', 'conf-unknown');
        }
    }
    if (!is_string($conf['bootstrap']) || !in_array($conf['console'], array('off', 'look', 'act'), true)
        || !in_array($conf['numbers'], array('plus', 'digits', 'national'), true)
        || !is_string($conf['country_code']) || !preg_match('/^[1-9][0-9]{0,2}$/D', $conf['country_code'])) {
        throw new Frameroom_Fail('failed', 'conf-unknown');
    }
    $conf['path'] = $path;
    return $conf;
}

/** A worker from outside: started, asked, ended. */
final class Frameroom_Colleague
{
    /** @var resource|null */
    private $process;
    /** @var array */
    private $pipes = array();
    /** @var float */
    private $born;

    public function __construct($config)
    {
        $this->born = microtime(true);
        $nothing = array('file', '/dev/null', 'w');
        // Stack traces of PHP hold arguments, and FreePBX writes them to its log: not those of this process.
        $command = array(
            PHP_BINARY, '-d', 'zend.exception_ignore_args=1', '-d', 'display_errors=0', '-d', 'memory_limit=1G',
            __FILE__, '--work', '--config', $config,
        );
        $this->process = proc_open(
            $command, array(0 => array('pipe', 'r'), 1 => $nothing, 2 => $nothing, 3 => array('pipe', 'w')),
            $this->pipes, '/', array('PATH' => '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin')
        );
        if (!is_resource($this->process)) {
            throw new Frameroom_Fail('failed', 'no-worker');
        }
        stream_set_blocking($this->pipes[3], false);
    }

    public function fresh()
    {
        return microtime(true) - $this->born < FRAMEROOM_FRESH_S;
    }

    /** The answer; null when the worker ended, or took too long and was ended. */
    public function ask(array $asked, $within)
    {
        $line = frameroom_line($asked);
        if (@fwrite($this->pipes[0], $line) !== strlen($line)) {
            return null;
        }
        $told = '';
        $until = microtime(true) + $within;
        while (substr($told, -1) !== "\n") {
            $ready = array($this->pipes[3]);
            $none = null;
            $left = $until - microtime(true);
            if ($left <= 0 || !@stream_select($ready, $none, $none, (int) $left + 1)) {
                proc_terminate($this->process, 9);
                return null;
            }
            $part = fread($this->pipes[3], 65536);
            if ($part === false || ($part === '' && feof($this->pipes[3]))) {
                return null;
            }
            $told .= $part;
            if (strlen($told) > 8388608) {
                proc_terminate($this->process, 9);
                return null;
            }
        }
        $answer = json_decode($told, true);
        return is_array($answer) ? $answer : null;
    }

    public function end()
    {
        foreach ($this->pipes as $pipe) {
            fclose($pipe);
        }
        $this->pipes = array();
        proc_close($this->process);
    }
}

/** Requests until standard input ends. Nothing is ever written but what `frameroom_shaped` made and `Frameroom_Prompt` let out. */
function frameroom_serve($config)
{
    try {
        $conf = frameroom_conf($config);
    } catch (Frameroom_Fail $fail) {
        fwrite(STDOUT, frameroom_line(frameroom_told($fail)));
        return 1;
    }
    // A change that is begun comes to its end; then standard input has ended.
    if (function_exists('pcntl_signal')) {
        foreach (array(SIGHUP, SIGTERM, SIGINT, SIGPIPE) as $signal) {
            pcntl_signal($signal, SIG_IGN);
        }
    }
    $reader = null;
    while (($raw = fgets(STDIN, FRAMEROOM_LONGEST + 2)) !== false) {
        $number = null;
        try {
            if (substr($raw, -1) !== "\n") {
                throw new Frameroom_Fail('invalid', 'too-long');
            }
            $asked = json_decode($raw, true, 16);
            if (!is_array($asked) || !isset($asked['n'], $asked['do']) || !is_int($asked['n'])) {
                throw new Frameroom_Fail('invalid', 'request');
            }
            $number = $asked['n'];
            $do = $asked['do'];
            if ($do === 'hello') {
                $reader = $reader ?: new Frameroom_Colleague($config); // it loads FreePBX while we say hello
                $answer = array(
                    'helper' => FRAMEROOM_COMMAND, 'version' => FRAMEROOM_VERSION,
                    'digest' => hash_file('sha256', __FILE__), 'php' => PHP_MAJOR_VERSION . '.' . PHP_MINOR_VERSION,
                    'console' => $conf['console'],
                );
            } elseif ($do === 'console') {
                $prompt = new Frameroom_Prompt($conf);
                foreach ($prompt->output(isset($asked['line']) ? $asked['line'] : null, STDIN) as $piece) {
                    $said = frameroom_line(array('n' => $number, 'out' => base64_encode($piece)));
                    if (@fwrite(STDOUT, $said) !== strlen($said)) {
                        break 2;
                    }
                }
                $answer = array();
            } elseif (in_array($do, FRAMEROOM_WRITES, true)) {
                if ($reader !== null && !$reader->fresh()) {
                    $reader->end();
                    $reader = null;
                }
                $reader = $reader ?: new Frameroom_Colleague($config);
                $answer = $reader->ask($asked, FRAMEROOM_WRITE_S);
                $reader->end();
                $reader = null;
                if ($answer === null) {
                    throw new Frameroom_Fail('unknown', 'died');
                }
            } elseif (in_array($do, FRAMEROOM_READS, true)) {
                $answer = null;
                for ($try = 0; $answer === null && $try < 2; $try++) {
                    $reader = $reader ?: new Frameroom_Colleague($config);
                    $answer = $reader->ask($asked, FRAMEROOM_READ_S);
                    if ($answer === null) { // its database may have gone away: a new one looks again, once
                        $reader->end();
                        $reader = null;
                    }
                }
                if ($answer === null) {
                    throw new Frameroom_Fail('failed', 'died');
                }
            } else {
                throw new Frameroom_Fail('invalid', 'request');
            }
            $answer = $do === 'hello' ? $answer : frameroom_shaped($do, $answer);
        } catch (Frameroom_Fail $fail) {
            $answer = frameroom_told($fail);
        }
        $answer['n'] = $number;
        if (@fwrite(STDOUT, frameroom_line($answer)) === false || substr($raw, -1) !== "\n") {
            break;
        }
    }
    if ($reader !== null) {
        $reader->end();
    }
    return 0;
}

/** The answer made anew, field by field: what is not named here does not get out. */
function frameroom_shaped($do, array $told)
{
    $text = function ($value) {
        return is_string($value) ? $value : '';
    };
    $texts = function ($value) use ($text) {
        return is_array($value) ? array_map($text, array_slice(array_values($value), 0, 1000)) : array();
    };
    $person = function ($value) use ($text, $texts) {
        $value = is_array($value) ? $value : array();
        $held = $value + array('id' => '', 'extension' => '', 'name' => '', 'email' => null, 'ddis' => array());
        return array(
            'id' => $text($held['id']), 'extension' => $text($held['extension']), 'name' => $text($held['name']),
            'email' => is_string($held['email']) ? $held['email'] : null, 'ddis' => $texts($held['ddis']),
        );
    };
    $each = function ($value, $shape) {
        return is_array($value) ? array_map($shape, array_slice(array_values($value), 0, FRAMEROOM_MOST)) : array();
    };
    if (isset($told['error'])) {
        $word = function ($value) {
            return is_string($value) && preg_match('/^[a-z-]{1,40}$/D', $value) ? $value : 'failed';
        };
        return array('error' => $word($told['error']), 'reason' => $word(isset($told['reason']) ? $told['reason'] : ''));
    }
    $get = function ($key) use ($told) {
        return isset($told[$key]) ? $told[$key] : null;
    };
    switch ($do) {
        case 'page':
        case 'find':
            return array('people' => $each($get('people'), $person), 'more' => $get('more') === true);
        case 'view':
            return array('person' => $person($get('person')));
        case 'devices':
            return array('devices' => $each($get('devices'), function ($one) use ($text) {
                return array('account' => $text($one['account']), 'address' => $text($one['address']));
            }));
        case 'rules':
            return array('stored' => $text($get('stored')), 'accounts' => (int) $get('accounts'));
        case 'plan':
            $made = array();
            foreach (array('accounts', 'routes', 'portals', 'mailboxes', 'kept_accounts', 'kept_portals') as $key) {
                $made[$key] = $texts($get($key));
            }
            return $made;
        case 'check':
            return array('lines' => $each($get('lines'), function ($one) use ($text) {
                return array(
                    'what' => $text($one['what']), 'ok' => $one['ok'] === true, 'file' => $text($one['file']),
                    'count' => (int) $one['count'],
                );
            }));
        default:
            return array('ok' => true);
    }
}

// ---- The prompt -----------------------------------------------------------------------------------------------------

// What may be asked for by the request `console`: words as they are, and what may stand in place of a NAME, a MODULE or a
// CHANNEL. No other line can be expressed; "!" and whatever prints a password are not among these.
const FRAMEROOM_SLOTS = array(
    'NAME' => '[A-Za-z0-9][A-Za-z0-9._-]{0,63}', 'MODULE' => '(?:res_pjsip|app_voicemail|pbx_config|app_queue)\.so',
    'CHANNEL' => '[A-Za-z]{2,12}/[A-Za-z0-9][A-Za-z0-9._@-]{0,63}-[0-9a-f]{8}',
);
const FRAMEROOM_LOOKS = array(
    'core show version', 'core show uptime', 'core show channels', 'core show calls', 'manager show connected',
    'module show like NAME', 'pjsip show endpoints', 'pjsip show endpoint NAME', 'pjsip list endpoints', 'pjsip show aors',
    'pjsip show contacts', 'pjsip show registrations', 'voicemail show users', 'queue show', 'queue show NAME',
    'fwconsole ma list', 'fwconsole notifications --list',
);
const FRAMEROOM_ACTS = array(
    'pjsip qualify NAME', 'module reload MODULE', 'dialplan reload', 'voicemail reload', 'pjsip send register NAME',
    'pjsip send unregister NAME', 'core reload', 'channel request hangup CHANNEL', 'core restart gracefully',
    'core abort shutdown', 'fwconsole reload',
);
const FRAMEROOM_PROMPT_S = 600;
const FRAMEROOM_PIECE = 16384; // bytes of output told at once
const FRAMEROOM_LONGEST_LINE = 8192; // of output; no line of Asterisk's is longer

/** Whether a line is one of these. */
function frameroom_listed($line, array $lines)
{
    if (!is_string($line) || strlen($line) > 200) {
        return false;
    }
    foreach ($lines as $one) {
        $words = array_map(function ($word) {
            return isset(FRAMEROOM_SLOTS[$word]) ? FRAMEROOM_SLOTS[$word] : preg_quote($word, '~');
        }, explode(' ', $one));
        if (preg_match('~^' . implode(' ', $words) . '$~D', $line)) {
            return true;
        }
    }
    return false;
}

/**
 * Asterisk's own command line and two of fwconsole's, and of their output what may be seen. Every program is started
 * without a shell, with the line as one argument of its own (Asterisk) or the list's own words (fwconsole).
 */
final class Frameroom_Prompt
{
    /** @var array */
    private $conf;

    public function __construct(array $conf)
    {
        $this->conf = $conf;
    }

    /** The output of a line as it comes, whole lines at a time. Whoever closes `source` ends it. */
    public function output($line, $source)
    {
        if ($this->conf['console'] === 'off') {
            throw new Frameroom_Fail('unsupported', 'console-off');
        }
        $acts = frameroom_listed($line, FRAMEROOM_ACTS);
        if (!$acts && !frameroom_listed($line, FRAMEROOM_LOOKS)) {
            throw new Frameroom_Fail('invalid', 'console-line');
        }
        if ($acts && $this->conf['console'] !== 'act') {
            throw new Frameroom_Fail('unsupported', 'console-looks');
        }
        if ($line === 'fwconsole reload') {
            return $this->applied();
        }
        return $this->streamed($line, $acts, $source);
    }

    /**
     * Comes to its end whoever goes on listening: half of FreePBX's files written would be worse than all. Its own words
     * are dropped: where it fails they are a trace of calls, and the database's password is an argument of one.
     */
    private function applied()
    {
        $lock = fopen($this->conf['path'], 'r');
        for ($until = microtime(true) + FRAMEROOM_LOCK_S; !flock($lock, LOCK_EX | LOCK_NB); usleep(50000)) {
            if (microtime(true) > $until) {
                throw new Frameroom_Fail('refused', 'busy');
            }
        }
        $null = array('file', '/dev/null', 'r+');
        $running = @proc_open(
            array_merge($this->conf['fwconsole'], array('reload')), array($null, $null, $null), $pipes, '/'
        );
        if (!is_resource($running)) {
            throw new Frameroom_Fail('failed', 'no-fwconsole');
        }
        yield "FreePBX writes its files anew, and has them read ...\n";
        if (proc_close($running) !== 0) {
            throw new Frameroom_Fail('unknown', 'reload');
        }
        yield "Done.\n";
    }

    private function streamed($line, $acts, $source)
    {
        $fwconsole = strpos($line, 'fwconsole ') === 0;
        $command = $fwconsole
            ? array_merge($this->conf['fwconsole'], array_slice(explode(' ', $line), 1))
            : array_merge($this->conf['asterisk'], array('-rx', $line));
        $null = array('file', '/dev/null', 'r+');
        $environment = array('PATH' => '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', 'LC_ALL' => 'C');
        $running = @proc_open($command, array($null, array('pipe', 'w'), $null), $pipes, '/', $environment);
        if (!is_resource($running)) {
            throw new Frameroom_Fail('failed', $fwconsole ? 'no-fwconsole' : 'no-asterisk');
        }
        $ended = $seen = false;
        try {
            stream_set_blocking($pipes[1], false);
            $held = '';
            for ($until = microtime(true) + FRAMEROOM_PROMPT_S; !feof($pipes[1]);) {
                $ready = array($pipes[1], $source);
                $none = null;
                $left = max(0, (int) ceil($until - microtime(true)));
                if (!@stream_select($ready, $none, $none, $left) || in_array($source, $ready, true)) {
                    throw new Frameroom_Fail('failed', 'slow'); // nobody listens any more, or it has gone on for too long
                }
                $held .= (string) fread($pipes[1], FRAMEROOM_PIECE - strlen($held));
                $cut = feof($pipes[1]) ? strlen($held) : (int) strrpos("\n" . $held, "\n");
                $whole = substr($held, 0, $cut);
                $held = (string) substr($held, $cut);
                if (strlen($held) > FRAMEROOM_LONGEST_LINE) {
                    throw new Frameroom_Fail('failed', 'long-line');
                }
                $seen = $seen || $whole !== '';
                $whole = $fwconsole ? self::table($whole) : self::withheld($whole, $line);
                if ($whole !== '') {
                    yield $whole;
                }
            }
            fclose($pipes[1]);
            $ended = true;
            $code = proc_close($running);
            // With 1 and without a word it reached no Asterisk, and nothing was asked of any.
            if ($acts && $code !== 0 && ($code !== 1 || $seen)) {
                throw new Frameroom_Fail('unknown', 'prompt-unsure');
            }
            if ($code !== 0) {
                throw new Frameroom_Fail('failed', $fwconsole ? 'no-fwconsole' : 'no-asterisk');
            }
        } finally {
            if (!$ended) {
                proc_terminate($running, 9);
                fclose($pipes[1]);
                proc_close($running);
            }
        }
    }

    /** Arguments of applications that take a PIN, and variables of a telephone, go no further. */
    private static function withheld($lines, $line)
    {
        $lines = preg_replace(
            array('~((?:Authenticate|DISA|SendDTMF|AgentLogin)\()[^)\s]*~i', '~^(\s*set_var\s*[:=]\s*)\S[^\r\n]*~im'),
            '$1(withheld)', $lines
        );
        if (strpos($line, 'pjsip show endpoint ') !== 0) {
            return $lines;
        }
        return preg_replace_callback('~^( (\S[^\r\n]*?) : )[^\r\n]*\S[^\r\n]*~m', function ($found) {
            $known = in_array(rtrim($found[2]), explode(' ', self::OPTIONS), true);
            return $known ? $found[0] : $found[1] . '(withheld)';
        }, $lines);
    }

    /** Asterisk prints a telephone's variables in one list with these, its options, and by their own names. */
    const OPTIONS =
        '100rel accept_multiple_sdp_answers accountcode acl aggregate_mwi allow allow_overlap allow_subscribe '
        . 'allow_transfer allow_unauthenticated_options aors asymmetric_rtp_codec auth bind_rtp_to_media_address bundle '
        . 'call_group callerid callerid_privacy callerid_tag codec_prefs_incoming_answer codec_prefs_incoming_offer '
        . 'codec_prefs_outgoing_answer codec_prefs_outgoing_offer connected_line_method contact_acl contact_deny '
        . 'contact_permit contact_user context cos_audio cos_video deny device_state_busy_at direct_media '
        . 'direct_media_glare_mitigation direct_media_method disable_direct_media_on_nat disallow '
        . 'dtls_auto_generate_cert dtls_ca_file dtls_ca_path dtls_cert_file dtls_cipher dtls_fingerprint '
        . 'dtls_private_key dtls_rekey dtls_setup dtls_verify dtmf_mode fax_detect fax_detect_timeout '
        . 'follow_early_media_fork follow_redirect_methods force_avp force_rport from_domain from_user '
        . 'g726_non_standard geoloc_incoming_call_profile geoloc_outgoing_call_profile ice_support identify_by '
        . 'ignore_183_without_sdp inband_progress incoming_call_offer_pref incoming_mwi_mailbox language mailboxes '
        . 'max_audio_streams max_video_streams media_address media_encryption media_encryption_optimistic '
        . 'media_use_received_transport message_context moh_passthrough moh_suggest mwi_from_user '
        . 'mwi_subscribe_replaces_unsolicited named_call_group named_pickup_group notify_early_inuse_ringing '
        . 'one_touch_recording outbound_auth outbound_proxy outgoing_call_offer_pref overlap_context permit '
        . 'pickup_group preferred_codec_only record_off_feature record_on_feature redirect_method refer_blind_progress '
        . 'rewrite_contact rpid_immediate rtcp_mux rtp_engine rtp_ipv6 rtp_keepalive rtp_port_end rtp_port_start '
        . 'rtp_symmetric rtp_timeout rtp_timeout_hold sdp_owner sdp_session security_mechanisms security_negotiation '
        . 'send_aoc send_connected_line send_diversion send_history_info send_pai send_rpid srtp_tag_32 stir_shaken '
        . 'stir_shaken_profile sub_min_expiry subscribe_context suppress_moh_on_sendonly suppress_q850_reason_headers '
        . 't38_bind_udptl_to_media_address t38_udptl t38_udptl_ec t38_udptl_ipv6 t38_udptl_maxdatagram t38_udptl_nat '
        . 'tenantid timers timers_min_se timers_sess_expires tone_zone tos_audio tos_video transport '
        . 'trust_connected_line trust_id_inbound trust_id_outbound type use_avpf use_ptime user_eq_phone '
        . 'voicemail_extension webrtc ParameterName';

    /** Of what fwconsole says only rows of a table: around it are hints, warnings, and where it fails a trace of calls. */
    private static function table($lines)
    {
        preg_match_all('~^(?:\|[^\r\n]*\||\+[-+=]+\+)\r?\n~m', substr($lines, -1) === "\n" ? $lines : $lines . "\n", $rows);
        return implode('', $rows[0]);
    }
}

// ---- Numbers and mailboxes ------------------------------------------------------------------------------------------

/** Direct numbers: E.164 to whoever asks, in FreePBX as the trunk's provider sends them. */
final class Frameroom_Numbers
{
    /** @var string */
    private $form;
    /** @var string */
    private $country;

    public function __construct(array $conf)
    {
        $this->form = $conf['numbers'];
        $this->country = $conf['country_code'];
    }

    /** A DID as E.164, however it is written there; as it is where it is a number of no known form; null for a pattern. */
    public function shown($stored)
    {
        if (!preg_match('/^\+?[0-9]{2,16}$/D', $stored)) {
            return null;
        }
        $digits = ltrim($stored, '+');
        if ($stored[0] !== '+') {
            if (substr($digits, 0, 2) === '00') {
                $digits = substr($digits, 2);
            } elseif ($digits[0] === '0') {
                $digits = $this->country . substr($digits, 1);
            } elseif (strpos($digits, $this->country) !== 0 || strlen($digits) < 9) {
                return $stored;
            }
        }
        return preg_match('/^[1-9][0-9]{5,14}$/D', $digits) ? '+' . $digits : $stored;
    }

    /** An E.164 number as this FreePBX keeps them. */
    public function stored($shown)
    {
        if ($this->form === 'plus') {
            return $shown;
        }
        if ($this->form === 'digits') {
            return substr($shown, 1);
        }
        if (strpos($shown, '+' . $this->country) !== 0) {
            throw new Frameroom_Fail('invalid', 'other-country');
        }
        return '0' . substr($shown, 1 + strlen($this->country));
    }

    /** A word of a search that looks like a number, as numbers are told. */
    public function word($typed)
    {
        $digits = preg_replace('/[().\-\/]/', '', $typed);
        if (preg_match('/^0[0-9]{6,14}$/D', $digits)) {
            return '+' . $this->country . substr($digits, 1);
        }
        return preg_match('/^\+[0-9]{3,15}$/D', $digits) ? $digits : $typed;
    }
}

/** Who has which address in voicemail.conf. PINs, which stand before it on the line, are passed over. */
final class Frameroom_Mailboxes
{
    /** @var string */
    private $path;
    /** @var array|null */
    private $read;
    /** @var array */
    private $state = array();

    public function __construct($path)
    {
        $this->path = $path;
    }

    /** Addresses by mailbox; '' for a mailbox without one. */
    public function emails()
    {
        clearstatcache();
        $found = @stat($this->path);
        $state = $found ? array($found['ino'], $found['mtime'], $found['size'], $found['ctime']) : array();
        // A file that was written in this very second may be written once more in it.
        if ($this->read === null || $state !== $this->state || ($found && $found['mtime'] >= time() - 2)) {
            $this->read = array();
            foreach ($this->lines() as $line) {
                if (!isset($this->read[$line[0]])) {
                    $this->read[$line[0]] = $line[3];
                }
            }
            $this->state = $state;
        }
        return $this->read;
    }

    /** Whether the mailbox has this PIN: to see that a change was written. */
    public function opens($mailbox, $pin)
    {
        foreach ($this->lines() as $line) {
            if ((string) $line[0] === (string) $mailbox) {
                return hash_equals($pin, $line[1]);
            }
        }
        return false;
    }

    /** Mailbox, PIN, name, address of each, as FreePBX reads the file: contexts of its own are left out. */
    private function lines()
    {
        $file = @fopen($this->path, 'r');
        if (!$file) {
            return;
        }
        $inside = false;
        while (($line = fgets($file)) !== false) {
            if (preg_match('/^\s*\[([^\]]+)\]/', $line, $match)) {
                $inside = !in_array($match[1], array('general', 'zonemessages', 'pbxaliases', 'device'), true);
            } elseif ($inside && preg_match('/^\s*([0-9]+)\s*=>?\s*([^,;]*),([^,]*),([^,\r\n]*)/', $line, $match)) {
                yield array($match[1], trim($match[2]), trim($match[3]), str_replace('|', ',', trim($match[4])));
            }
        }
        fclose($file);
    }
}

// ---- People ---------------------------------------------------------------------------------------------------------

/** One extension, with all that belongs to it. */
final class Frameroom_Person
{
    /** @var string */
    public $extension;
    /** @var string */
    public $name;
    /** @var string|null */
    public $email;
    /** @var array DID as E.164 => its rows of `incoming` */
    public $numbers = array();
    /** @var array rows of `incoming` that are no plain number: patterns, any number, callers of one kind */
    public $others = array();
    /** @var array ids, of userman_users */
    public $portals = array();
    /** @var bool */
    public $has_mailbox = false;

    public function shown()
    {
        $numbers = array_map('strval', array_keys($this->numbers));
        return array(
            'id' => $this->extension, 'extension' => $this->extension, 'name' => $this->name, 'email' => $this->email,
            'ddis' => $numbers,
        );
    }
}

/** The process that has loaded FreePBX: answers requests by FreePBX's own classes, and its tables where those have no way. */
final class Frameroom_Worker
{
    const HERE = 'from-did-direct,%s,1';
    const DIGITS = "extension REGEXP '^[0-9]{1,20}$'"; // FreePBX itself takes nothing else as a mailbox or in its API

    /** @var array */
    private $conf;
    /** @var Frameroom_Numbers */
    private $numbers;
    /** @var Frameroom_Mailboxes */
    private $mailboxes;
    /** @var bool */
    private $has_userman;
    /** @var bool */
    private $has_voicemail;
    /** @var bool whether something was written already, so that a failure leaves half a change */
    private $begun = false;

    public function __construct(array $conf)
    {
        $this->conf = $conf;
        $this->numbers = new Frameroom_Numbers($conf);
        $this->mailboxes = new Frameroom_Mailboxes(FreePBX::Config()->get('ASTETCDIR') . '/voicemail.conf');
        $this->has_userman = (bool) FreePBX::Modules()->checkStatus('userman');
        $this->has_voicemail = (bool) FreePBX::Modules()->checkStatus('voicemail');
    }

    public function answer(array $asked)
    {
        $do = isset($asked['do']) ? $asked['do'] : '';
        if (!in_array($do, array_merge(FRAMEROOM_READS, FRAMEROOM_WRITES), true)) {
            throw new Frameroom_Fail('invalid', 'request');
        }
        if (!in_array($do, FRAMEROOM_WRITES, true)) {
            return $this->{'do_' . $do}($asked);
        }
        $lock = fopen($this->conf['path'], 'r');
        for ($until = microtime(true) + FRAMEROOM_LOCK_S; !flock($lock, LOCK_EX | LOCK_NB); usleep(50000)) {
            if (microtime(true) > $until) {
                throw new Frameroom_Fail('refused', 'busy');
            }
        }
        if (!FreePBX::create()->astman->connected()) {
            throw new Frameroom_Fail('refused', 'console');
        }
        try {
            return $this->{'do_' . $do}($asked);
        } catch (Frameroom_Fail $fail) {
            if (!$this->begun || $fail->told === 'unknown') {
                throw $fail;
            }
            throw new Frameroom_Fail('unknown', 'half');
        } catch (Throwable $error) { // its words could quote a password
            throw $this->begun ? new Frameroom_Fail('unknown', 'half') : new Frameroom_Fail('failed', 'internal');
        }
    }

    // -- reading

    private function rows($sql, array $values = array())
    {
        $asked = FreePBX::Database()->prepare($sql);
        $asked->execute(array_map('strval', array_values($values)));
        return $asked->fetchAll(PDO::FETCH_ASSOC);
    }

    private function write($sql, array $values)
    {
        $asked = FreePBX::Database()->prepare($sql);
        $asked->execute($values);
    }

    private static function marks(array $values)
    {
        return implode(',', array_fill(0, count($values), '?'));
    }

    /** People of some rows of `users`, in their order. */
    private function described(array $rows, $whole)
    {
        $people = array();
        foreach ($rows as $row) {
            $one = new Frameroom_Person();
            $one->extension = (string) $row['extension'];
            $one->name = (string) $row['name'];
            $people[$one->extension] = $one;
        }
        if (!$people) {
            return array();
        }
        $keys = array_map('strval', array_keys($people));
        $here = array();
        foreach ($keys as $key) {
            $here[sprintf(self::HERE, $key)] = $key;
        }
        // Named columns alone: the others hold passwords.
        $of_some = $whole ? '' : ' WHERE default_extension IN (' . self::marks($keys) . ')';
        $portals = $this->has_userman
            ? $this->rows("SELECT id, default_extension, email FROM userman_users$of_some ORDER BY id", $whole ? array() : $keys)
            : array();
        foreach ($portals as $row) {
            $one = isset($people[$row['default_extension']]) ? $people[$row['default_extension']] : null;
            if ($one !== null) {
                $one->portals[] = (string) $row['id'];
                $one->email = $one->email === null ? self::address($row['email']) : $one->email;
            }
        }
        $emails = $this->has_voicemail ? $this->mailboxes->emails() : array();
        foreach ($people as $key => $one) {
            $one->has_mailbox = isset($emails[$key]);
            if ($one->email === null && isset($emails[$key])) {
                $one->email = self::address($emails[$key]);
            }
        }
        $of_some = $whole ? "LIKE 'from-did-direct,%'" : 'IN (' . self::marks($here) . ')';
        $routes = $this->rows(
            "SELECT extension, cidnum, destination FROM incoming WHERE destination $of_some ORDER BY extension, cidnum",
            $whole ? array() : array_keys($here)
        );
        foreach ($routes as $row) {
            if (!isset($here[$row['destination']])) {
                continue;
            }
            $one = $people[$here[$row['destination']]];
            $number = $this->numbers->shown((string) $row['extension']);
            if ($number === null) {
                $one->others[] = $row;
            } else {
                $one->numbers[$number][] = $row;
            }
        }
        return array_values($people);
    }

    /** One address; null for none, and for several: which of them is the person's cannot be told. */
    private static function address($text)
    {
        return preg_match('/^[^\s,;|]+$/D', (string) $text) ? (string) $text : null;
    }

    private static function limit(array $asked)
    {
        $limit = isset($asked['limit']) ? $asked['limit'] : null;
        if (!is_int($limit) || $limit < 1 || $limit > FRAMEROOM_MOST) {
            throw new Frameroom_Fail('invalid', 'limit');
        }
        return $limit;
    }

    private static function key($value)
    {
        if (!is_string($value) || !preg_match('/^[0-9]{1,20}$/D', $value)) {
            throw new Frameroom_Fail('not-found', 'not-found');
        }
        return $value;
    }

    private function person(array $asked)
    {
        $key = self::key(isset($asked['id']) ? $asked['id'] : null);
        $found = $this->described($this->rows('SELECT extension, name FROM users WHERE extension = ?', array($key)), false);
        if (!$found) {
            throw new Frameroom_Fail('not-found', 'not-found');
        }
        return $found[0];
    }

    private static function told(array $people)
    {
        return array_map(function (Frameroom_Person $one) {
            return $one->shown();
        }, $people);
    }

    private function do_page(array $asked)
    {
        $limit = self::limit($asked);
        $cursor = isset($asked['cursor']) ? self::key($asked['cursor']) : '';
        $rows = $this->rows(
            'SELECT extension, name FROM users WHERE extension > ? AND ' . self::DIGITS . ' ORDER BY extension LIMIT '
            . ($limit + 1),
            array($cursor)
        );
        $more = count($rows) > $limit;
        return array('people' => self::told($this->described(array_slice($rows, 0, $limit), false)), 'more' => $more);
    }

    private function do_find(array $asked)
    {
        $limit = self::limit($asked);
        $words = isset($asked['words']) ? $asked['words'] : null;
        if (!is_string($words) || mb_strlen($words) > 200) {
            throw new Frameroom_Fail('invalid', 'words');
        }
        $fold = function ($text) {
            return mb_convert_case($text, MB_CASE_FOLD, 'UTF-8');
        };
        $wanted = array();
        foreach (preg_split('/\s+/u', $words, -1, PREG_SPLIT_NO_EMPTY) as $word) {
            $wanted[] = $fold($this->numbers->word($word));
        }
        $found = array();
        $rows = $wanted
            ? $this->rows('SELECT extension, name FROM users WHERE ' . self::DIGITS . ' ORDER BY extension')
            : array();
        foreach ($this->described($rows, true) as $one) {
            $numbers = implode("\n", array_keys($one->numbers));
            $text = $fold($one->name . "\n" . $one->email . "\n" . $one->extension . "\n" . $numbers);
            foreach ($wanted as $word) {
                if (strpos($text, $word) === false) {
                    continue 2;
                }
            }
            $found[] = $one;
            if (count($found) === $limit) {
                break;
            }
        }
        return array('people' => self::told($found));
    }

    private function do_view(array $asked)
    {
        return array('person' => $this->person($asked)->shown());
    }

    /** The person's devices: [id, tech, devicetype, description]. */
    private function devices(Frameroom_Person $person)
    {
        return $this->rows(
            'SELECT id, tech, devicetype, description FROM devices WHERE `user` = ? ORDER BY id', array($person->extension)
        );
    }

    private function do_devices(array $asked)
    {
        $ids = array();
        foreach ($this->devices($this->person($asked)) as $device) {
            $ids[(string) $device['id']] = true;
        }
        $astman = FreePBX::create()->astman;
        if (!$astman->connected()) {
            throw new Frameroom_Fail('failed', 'console');
        }
        $told = $astman->Command('pjsip show contacts');
        $pattern = '~^\s*Contact:\s+([^/\s]+)/sips?:(?:[^@\s]*@)?([A-Za-z0-9.:\[\]_-]{1,120})~m';
        preg_match_all($pattern, isset($told['data']) ? $told['data'] : '', $matches, PREG_SET_ORDER);
        $found = array();
        foreach ($matches as $match) {
            if (isset($ids[$match[1]]) && count($found) < 50) {
                $found[] = array('account' => $match[1], 'address' => $match[2]);
            }
        }
        return array('devices' => $found);
    }

    private function do_check(array $asked)
    {
        $lines = array();
        $tell = function ($what, $ok, $file = '', $count = 0) use (&$lines) {
            $lines[] = array('what' => $what, 'ok' => (bool) $ok, 'file' => (string) $file, 'count' => $count);
        };
        $version = $this->rows("SELECT value FROM admin WHERE variable = 'version'");
        $version = $version ? (string) $version[0]['value'] : '';
        $tell('version', preg_match('/^1[67]\./', $version), preg_match('/^[0-9.]{1,20}$/D', $version) ? $version : '');
        $tell('console', FreePBX::create()->astman->connected());
        $count = $this->rows('SELECT COUNT(*) AS n FROM users');
        $tell('people', (int) $count[0]['n'] > 0, '', (int) $count[0]['n']);
        $tell('userman', $this->has_userman);
        $tell('voicemail', $this->has_voicemail);
        $tell('fwconsole', is_executable($this->conf['fwconsole'][0]), $this->conf['fwconsole'][0]);
        $waiting = $this->rows("SELECT value FROM admin WHERE variable = 'need_reload'");
        $tell('waiting', !$waiting || $waiting[0]['value'] !== 'true');
        $odd = $this->rows('SELECT COUNT(*) AS n FROM users WHERE NOT ' . self::DIGITS);
        if ((int) $odd[0]['n'] > 0) {
            $tell('odd', false, '', (int) $odd[0]['n']);
        }
        $etc = FreePBX::Config()->get('ASTETCDIR');
        $all = array($this->conf['bootstrap'], "$etc/voicemail.conf", "$etc/pjsip.auth.conf", "$etc/manager.conf");
        foreach ($all as $file) {
            if ((@fileperms($file) & 0004) && (@fileperms(dirname($file)) & 0001)) {
                $tell('readable', false, $file);
            }
        }
        return array('lines' => $lines);
    }

    private function do_plan(array $asked)
    {
        return $this->plan($this->person($asked));
    }

    private function plan(Frameroom_Person $person)
    {
        $plan = array_fill_keys(array('accounts', 'routes', 'portals', 'mailboxes', 'kept_accounts', 'kept_portals'), array());
        foreach ($this->devices($person) as $device) {
            $plan[$device['devicetype'] === 'adhoc' ? 'kept_accounts' : 'accounts'][] = (string) $device['id'];
        }
        foreach ($this->routes($person) as $row) {
            $plan['routes'][] = $row['extension'] . ($row['cidnum'] === '' ? '' : ' / ' . $row['cidnum']);
        }
        foreach ($person->portals as $id) {
            $row = $this->portal($id);
            $plan[$this->may($row, 'removeUser') ? 'portals' : 'kept_portals'][] = (string) $row['username'];
        }
        if ($person->has_mailbox) {
            $plan['mailboxes'][] = $person->extension;
        }
        return $plan;
    }

    /** Every inbound route that goes to the person. */
    private function routes(Frameroom_Person $person)
    {
        $rows = $person->others;
        foreach ($person->numbers as $some) {
            $rows = array_merge($rows, $some);
        }
        return array_map(function ($row) {
            return array('extension' => (string) $row['extension'], 'cidnum' => (string) $row['cidnum']);
        }, $rows);
    }

    /** A portal user without its password. */
    private function portal($id)
    {
        $rows = $this->rows(
            'SELECT id, auth, username, description, default_extension, displayname, email FROM userman_users WHERE id = ?',
            array($id)
        );
        if (!$rows) {
            throw new Frameroom_Fail('conflict', 'conflict');
        }
        return $rows[0];
    }

    /** Whether the user's directory lets us; another's (LDAP, Active Directory) does not, nor one that is switched off. */
    private function may(array $portal, $what)
    {
        try {
            return (bool) FreePBX::Userman()->getAuthPermission($portal['auth'], $what);
        } catch (Throwable $error) {
            return false;
        }
    }

    private function do_rules(array $asked)
    {
        $person = $this->person($asked);
        $kind = isset($asked['kind']) ? $asked['kind'] : '';
        if ($kind === 'voicemail') {
            if (!$person->has_mailbox) {
                throw new Frameroom_Fail('unsupported', 'no-mailbox');
            }
            return array('stored' => 'pin', 'accounts' => 1);
        }
        if ($kind === 'portal') {
            $this->only_portal($person, 'changePassword');
            return array('stored' => 'hash', 'accounts' => 1);
        }
        if ($kind !== 'sip') {
            throw new Frameroom_Fail('invalid', 'kind');
        }
        return array('stored' => 'plain', 'accounts' => count($this->telephones($person)));
    }

    /** The one portal user of a person who may be changed there. */
    private function only_portal(Frameroom_Person $person, $what)
    {
        if (!$person->portals) {
            throw new Frameroom_Fail('unsupported', 'no-portal');
        }
        if (count($person->portals) > 1) {
            throw new Frameroom_Fail('unsupported', 'several-portals');
        }
        $portal = $this->portal($person->portals[0]);
        if (!$this->may($portal, $what)) {
            throw new Frameroom_Fail('unsupported', 'directory');
        }
        return $portal;
    }

    /** Ids of the person's SIP devices. */
    private function telephones(Frameroom_Person $person)
    {
        $ids = array();
        foreach ($this->devices($person) as $device) {
            if ($device['devicetype'] !== 'adhoc' && in_array($device['tech'], array('pjsip', 'sip'), true)) {
                $ids[] = (string) $device['id'];
            }
        }
        if (!$ids) {
            throw new Frameroom_Fail('unsupported', 'no-sip');
        }
        return $ids;
    }

    // -- writing

    /** As Frameroom makes it: SHA-256 of the value as JSON. */
    private static function fingerprint($value)
    {
        $flags = JSON_INVALID_UTF8_SUBSTITUTE | JSON_UNESCAPED_SLASHES;
        if (!is_array($value)) {
            return hash('sha256', json_encode($value, $flags));
        }
        $parts = array();
        foreach ($value as $one) {
            $parts[] = json_encode($one, $flags);
        }
        return hash('sha256', '[' . implode(', ', $parts) . ']');
    }

    private static function same(array $expected, array $shown)
    {
        foreach ($expected as $field => $print) {
            if (!array_key_exists($field, $shown) || self::fingerprint($shown[$field]) !== $print) {
                throw new Frameroom_Fail('conflict', 'conflict');
            }
        }
    }

    /** From here on something is written; FreePBX's own pages say that it waits to be applied until it is. */
    private function begin()
    {
        $this->begun = true;
        needreload();
    }

    /** As "Apply Config" does. What waited there before goes with it. */
    private function apply()
    {
        $null = array('file', '/dev/null', 'r+');
        $command = array_merge($this->conf['fwconsole'], array('reload'));
        $running = proc_open($command, array($null, $null, $null), $pipes, '/');
        if (!is_resource($running) || proc_close($running) !== 0) {
            throw new Frameroom_Fail('unknown', 'reload');
        }
        return array();
    }

    private function do_alter(array $asked)
    {
        $person = $this->person($asked);
        $changes = isset($asked['changes']) && is_array($asked['changes']) ? $asked['changes'] : array();
        $expected = $becomes = array();
        foreach ($changes as $field => $pair) {
            if (!in_array($field, array('name', 'email', 'ddis'), true) || !is_array($pair) || count($pair) !== 2) {
                throw new Frameroom_Fail('invalid', 'request');
            }
            list($expected[$field], $becomes[$field]) = $pair;
        }
        self::same($expected, $person->shown());
        $this->fit($becomes);
        // All that can be refused is, before the first thing is written.
        $dial = array_key_exists('ddis', $becomes) ? $this->dialled($person, $becomes['ddis']) : null;
        $places = $this->places($person, $becomes);
        if (!$becomes) {
            return array();
        }
        $this->begin();
        if ($dial !== null) {
            $this->dial($person, $dial);
        }
        if ($places['portal']) {
            $this->write_portal($person, $places['portal'], $becomes);
        }
        if ($places['mailbox']) {
            $this->write_mailbox($person, $places['mailbox']);
        }
        if (isset($becomes['name'])) {
            $this->rename($person, $becomes['name']);
        }
        return $this->apply();
    }

    private function fit(array $becomes)
    {
        $has = function ($field) use ($becomes) {
            return array_key_exists($field, $becomes);
        };
        if ($has('name') && (!is_string($becomes['name']) || mb_strlen($becomes['name'], 'UTF-8') > 50
            || !preg_match('/^[^\s"\\\\<>;,|\p{Cc}](?:[^"\\\\<>;,|\p{Cc}]*[^\s"\\\\<>;,|\p{Cc}])?$/Du', $becomes['name']))) {
            throw new Frameroom_Fail('invalid', 'name');
        }
        if ($has('email') && $becomes['email'] !== null && (!is_string($becomes['email']) || strlen($becomes['email']) > 254
            || !preg_match('/^[\w.!#$%&\'*+\/=?^{}~-]{1,64}@[\w-]+(?:\.[\w-]+)+$/Du', $becomes['email']))) {
            throw new Frameroom_Fail('invalid', 'email');
        }
        if ($has('ddis') && (!is_array($becomes['ddis']) || count($becomes['ddis']) > 1)) {
            throw new Frameroom_Fail('invalid', 'number');
        }
    }

    /** [the route that is there or null, the number it becomes or null]; null when nothing changes. */
    private function dialled(Frameroom_Person $person, array $numbers)
    {
        if (count($person->numbers) > 1) {
            throw new Frameroom_Fail('refused', 'several-numbers');
        }
        $old = null;
        foreach ($person->numbers as $rows) {
            if (count($rows) > 1 || (string) $rows[0]['cidnum'] !== '') {
                throw new Frameroom_Fail('refused', 'route-does-more');
            }
            $old = (string) $rows[0]['extension'];
        }
        if (!$numbers) {
            return $old === null ? null : array($old, null);
        }
        $wanted = array_values($numbers)[0];
        if (!is_string($wanted) || !preg_match('/^\+[1-9][0-9]{5,14}$/D', $wanted)) {
            throw new Frameroom_Fail('invalid', 'number');
        }
        if (isset($person->numbers[$wanted])) {
            return null;
        }
        foreach ($this->rows('SELECT extension FROM incoming') as $row) {
            if ($this->numbers->shown((string) $row['extension']) === $wanted) {
                throw new Frameroom_Fail('taken', 'taken');
            }
        }
        return array($old, $this->numbers->stored($wanted));
    }

    private function dial(Frameroom_Person $person, array $dial)
    {
        list($old, $new) = $dial;
        $core = FreePBX::Core();
        if ($new === null) {
            $core->delDID($old, '');
            return;
        }
        if ($old === null) {
            $done = $core->addDID(array(
                'extension' => $new, 'cidnum' => '', 'destination' => sprintf(self::HERE, $person->extension),
                'description' => $person->name,
            ));
        } else { // everything else that the route says stays
            $route = $core->getDID($old, '');
            $route['extension'] = $new;
            $done = $core->editDID($old, '', $route);
        }
        if ($done !== true) {
            throw new Frameroom_Fail('unknown', 'half');
        }
    }

    /** Where a name and an address are kept besides the extension, and what to write there: every place that has the old one. */
    private function places(Frameroom_Person $person, array $becomes)
    {
        $places = array('portal' => null, 'mailbox' => null);
        $mails = array_key_exists('email', $becomes);
        if ($person->portals && ($mails || isset($becomes['name']))) {
            $portal = $this->portal($person->portals[0]);
            if ($mails || (count($person->portals) === 1 && $this->may($portal, 'modifyUserAttrs')
                && (string) $portal['displayname'] === $person->name)) {
                $places['portal'] = $this->only_portal($person, 'modifyUserAttrs');
            }
        }
        $box = $person->has_mailbox ? FreePBX::Voicemail()->getMailbox($person->extension, false) : null;
        if ($mails && !$box && !$places['portal']) {
            throw new Frameroom_Fail('unsupported', 'no-mailbox');
        }
        $held = $places['portal'] ? $portal['email'] : ($box ? $box['email'] : '');
        if ($mails && (string) $held !== '' && self::address($held) === null) {
            throw new Frameroom_Fail('unsupported', 'several-emails');
        }
        if (!$box) {
            return $places;
        }
        $old = $box;
        if ($mails && ((string) $box['email'] === (string) $person->email && ($person->email !== null || !$places['portal']))) {
            $box['email'] = (string) $becomes['email'];
        }
        if (isset($becomes['name']) && $box['name'] === str_replace(',', '', $person->name)) {
            $box['name'] = $becomes['name'];
        }
        $places['mailbox'] = $box === $old ? null : $box;
        return $places;
    }

    /** FreePBX's own: a password of null stays as it is. */
    private function write_portal(Frameroom_Person $person, array $portal, array $becomes)
    {
        // The address is always told: a module asks again for one that is left out.
        $more = array('email' => (string) (array_key_exists('email', $becomes) ? $becomes['email'] : $portal['email']));
        if (isset($becomes['name']) && (string) $portal['displayname'] === $person->name) {
            $more['displayname'] = $becomes['name'];
        }
        $this->updated($portal, $more, null);
    }

    private function updated(array $portal, array $more, $password)
    {
        $told = FreePBX::Userman()->updateUser(
            $portal['id'], $portal['username'], $portal['username'], $portal['default_extension'], $portal['description'],
            $more, $password
        );
        if (empty($told['status'])) {
            throw new Frameroom_Fail($password === null ? 'unknown' : 'refused', $password === null ? 'half' : 'policy');
        }
    }

    private function write_mailbox(Frameroom_Person $person, array $box)
    {
        FreePBX::Voicemail()->updateMailbox($person->extension, $box, false);
        $now = FreePBX::Voicemail()->getMailbox($person->extension, false);
        if (!$now || $now['email'] !== $box['email'] || $now['pwd'] !== $box['pwd']) {
            throw new Frameroom_Fail('unknown', 'half');
        }
    }

    /**
     * In place. FreePBX's own way deletes extension and device and adds them again from what it had read, and what it had
     * not read (music on hold, dial options, follow-me, or everything when it dies between the two) is lost.
     */
    private function rename(Frameroom_Person $person, $name)
    {
        $this->write('UPDATE users SET name = ? WHERE extension = ?', array($name, $person->extension));
        $old = $person->name;
        foreach ($this->devices($person) as $device) {
            if ((string) $device['description'] === $old) {
                $this->write('UPDATE devices SET description = ? WHERE id = ?', array($name, $device['id']));
            }
            if (in_array($device['tech'], array('pjsip', 'sip'), true)) {
                $ends = sprintf(' <%s>', $person->extension);
                $this->write(
                    "UPDATE sip SET data = ? WHERE id = ? AND keyword = 'callerid' AND data = ?",
                    array($name . $ends, $device['id'], $old . $ends)
                );
            }
        }
        if (!FreePBX::create()->astman->database_put('AMPUSER', $person->extension . '/cidname', $name)) {
            throw new Frameroom_Fail('unknown', 'half');
        }
    }

    private function do_remove(array $asked)
    {
        $person = $this->person($asked);
        $expected = isset($asked['expected']) && is_array($asked['expected']) ? $asked['expected'] : array();
        if (count($expected) !== 2) {
            throw new Frameroom_Fail('invalid', 'request');
        }
        self::same($expected, $person->shown());
        $plan = $this->plan($person);
        $core = FreePBX::Core();
        $this->begin();
        foreach ($this->routes($person) as $row) {
            $core->delDID($row['extension'], $row['cidnum']);
        }
        foreach ($person->portals as $id) {
            if (in_array($this->portal($id)['username'], $plan['portals'], true)) {
                $told = FreePBX::Userman()->deleteUserByID($id);
                if (empty($told['status'])) {
                    throw new Frameroom_Fail('unknown', 'half');
                }
            }
        }
        foreach ($plan['accounts'] as $id) {
            $core->delDevice($id);
        }
        $core->delUser($person->extension); // its hook takes the mailbox and its messages along
        if ($person->has_mailbox && FreePBX::Voicemail()->getMailbox($person->extension, false)) {
            FreePBX::Voicemail()->removeMailbox($person->extension, false);
            FreePBX::Voicemail()->delMailbox($person->extension, false);
        }
        if ($this->rows('SELECT extension FROM users WHERE extension = ?', array($person->extension))) {
            throw new Frameroom_Fail('unknown', 'half');
        }
        return $this->apply();
    }

    private function do_reset(array $asked)
    {
        $secret = isset($asked['secret']) ? $asked['secret'] : null;
        $kind = isset($asked['kind']) ? $asked['kind'] : '';
        if (!is_string($secret) || !preg_match($kind === 'voicemail' ? '/^[0-9]{4,16}$/D' : '/^[A-Za-z0-9]{8,64}$/D', $secret)) {
            throw new Frameroom_Fail('invalid', 'secret');
        }
        $person = $this->person($asked);
        if ($kind === 'portal') {
            // Applied at once, without a reload. Refused as a whole by the policy for passwords.
            $portal = $this->only_portal($person, 'changePassword');
            try {
                $this->updated($portal, array(), $secret);
            } catch (Frameroom_Fail $fail) {
                throw $fail;
            } catch (Throwable $error) {
                throw new Frameroom_Fail('unknown', 'half');
            }
            return array();
        }
        if ($kind === 'voicemail') {
            $box = $person->has_mailbox ? FreePBX::Voicemail()->getMailbox($person->extension, false) : null;
            if (!$box) {
                throw new Frameroom_Fail('unsupported', 'no-mailbox');
            }
            $box['pwd'] = $secret;
            $this->begin();
            FreePBX::Voicemail()->updateMailbox($person->extension, $box, false);
            if (!$this->mailboxes->opens($person->extension, $secret)) {
                throw new Frameroom_Fail('unknown', 'half');
            }
            return $this->apply();
        }
        if ($kind !== 'sip') {
            throw new Frameroom_Fail('invalid', 'kind');
        }
        $ids = $this->telephones($person);
        $this->begin();
        foreach ($ids as $id) {
            // A digest left beside the new password would win over it.
            $this->write("UPDATE sip SET data = '' WHERE id = ? AND keyword = 'md5_cred'", array($id));
            $this->write("UPDATE sip SET data = ? WHERE id = ? AND keyword = 'secret'", array($secret, $id));
        }
        $marks = self::marks($ids);
        $there = $this->rows(
            "SELECT COUNT(*) AS n FROM sip WHERE keyword = 'secret' AND id IN ($marks) AND data = ?",
            array_merge($ids, array($secret))
        );
        if ((int) $there[0]['n'] !== count($ids)) {
            throw new Frameroom_Fail('unknown', 'half');
        }
        return $this->apply();
    }
}

/** Requests from the process that has the wire; answers into a pipe that nothing of FreePBX writes to. */
function frameroom_work(array $conf)
{
    $answers = fopen('php://fd/3', 'w');
    $worker = null;
    while (($raw = fgets(STDIN)) !== false) {
        try {
            if ($worker === null) {
                $worker = new Frameroom_Worker($conf);
            }
            $answer = $worker->answer((array) json_decode($raw, true, 16));
        } catch (Frameroom_Fail $fail) {
            $answer = frameroom_told($fail);
        } catch (PDOException $error) { // the database went away, perhaps: whoever comes next looks with a new process
            exit(1);
        } catch (Throwable $error) {
            $answer = array('error' => 'failed', 'reason' => 'internal');
        }
        fwrite($answers, frameroom_line($answer));
    }
}

// ---- As it is started: `frameroom-helper.php --serve`, by sudo for the forced command of an SSH key -----------------

$frameroom_words = array_slice($argv, 1);
$frameroom_config = '/etc/frameroom-helper.json';
if (count($frameroom_words) === 3 && $frameroom_words[1] === '--config') {
    $frameroom_config = $frameroom_words[2];
    array_splice($frameroom_words, 1, 2);
}
if ($frameroom_words === array('--serve')) {
    exit(frameroom_serve($frameroom_config));
}
if ($frameroom_words === array('--version')) {
    fwrite(STDOUT, FRAMEROOM_COMMAND . ' ' . FRAMEROOM_VERSION . "\n");
    exit(0);
}
if ($frameroom_words !== array('--work')) {
    fwrite(STDOUT, frameroom_line(array('error' => 'bound', 'reason' => 'words')));
    exit(3);
}
try {
    $frameroom_conf = frameroom_conf($frameroom_config);
} catch (Frameroom_Fail $frameroom_fail) {
    exit(1);
}
// FreePBX's start-up has to happen out here: it makes variables that its functions look for as global ones.
$bootstrap_settings = array('freepbx_auth' => false);
require $frameroom_conf['bootstrap'];
frameroom_work($frameroom_conf);
