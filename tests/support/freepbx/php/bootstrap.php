<?php
// A stand-in for FreePBX's start-up and the classes that the helper calls: their names, methods, parameters, tables and
// refusals as in FreePBX 17's source, and their habit of printing. Written for these tests; nothing of FreePBX is in it.

namespace FreePBX {
    class Database extends \PDO
    {
    }
}

namespace {
    // FreePBX prints notices and whatever a module echoes: here with every password that it can think of.
    function standin_noise($where)
    {
        $noise = "noise at $where: " . $GLOBALS['amp_conf']['NOISE'] . "\n";
        echo $noise;
        fwrite(STDOUT, $noise);
        fwrite(STDERR, $noise);
        error_log($noise);
    }

    function needreload()
    {
        \FreePBX::Database()->exec("UPDATE admin SET value = 'true' WHERE variable = 'need_reload'");
        standin_noise('needreload');
    }

    function die_freepbx($text, $extended_text = '', $type = 'FATAL')
    {
        standin_noise("die: $text");
        exit(1);
    }

    /** @property AGI_AsteriskManager $astman */
    class FreePBX
    {
        public $astman;
        private static $obj;
        private static $made = array();

        public static function create()
        {
            if (self::$obj === null) {
                self::$obj = new self();
            }
            return self::$obj;
        }

        public static function __callStatic($name, $arguments)
        {
            if (!isset(self::$made[$name])) {
                if ($name === 'Database') {
                    $conf = $GLOBALS['amp_conf'];
                    self::$made[$name] = new \FreePBX\Database(
                        "mysql:unix_socket={$conf['AMPDBSOCK']};dbname={$conf['AMPDBNAME']};charset=utf8mb4",
                        $conf['AMPDBUSER'], $conf['AMPDBPASS'], array(PDO::ATTR_ERRMODE => PDO::ERRMODE_EXCEPTION)
                    );
                } else {
                    $class = "FreePBX\\modules\\$name";
                    $class = class_exists($class) ? $class : "FreePBX\\$name";
                    self::$made[$name] = new $class();
                }
            }
            return self::$made[$name];
        }
    }

    class AGI_AsteriskManager
    {
        public function connected()
        {
            return !file_exists($GLOBALS['amp_conf']['STANDIN'] . '/asterisk-is-down');
        }

        public function Command($command, $actionid = null)
        {
            file_put_contents($GLOBALS['amp_conf']['STANDIN'] . '/asked', "$command\n", FILE_APPEND);
            return array('Response' => 'Success', 'data' => "Privilege: Command\n"
                . "  Contact:  20001/sip:20001@192.0.2.7:5060                7fb62b7eb5 Avail        12.0\n"
                . "  Contact:  trunk/sip:198.51.100.1:5060                   5b4bebb4d4 NonQual         nan\n");
        }

        public function database_put($family, $key, $value)
        {
            if (strpbrk($value, "\"\r\n") !== false) {
                return false;
            }
            $asked = \FreePBX::Database()->prepare('REPLACE INTO standin_astdb VALUES (?, ?)');
            return $asked->execute(array("/$family/$key", $value));
        }

        public function database_deltree($family)
        {
            $asked = \FreePBX::Database()->prepare('DELETE FROM standin_astdb WHERE name LIKE ?');
            $asked->execute(array("/$family/%"));
            return true;
        }
    }
}

namespace FreePBX {
    class Config
    {
        public function get($var)
        {
            return $GLOBALS['amp_conf'][$var];
        }
    }

    class Modules
    {
        public function checkStatus($modname, $status = 2)
        {
            return !in_array($modname, $GLOBALS['amp_conf']['DISABLED'], true);
        }
    }
}

namespace FreePBX\modules {
    use Exception;
    use PDO;

    trait Tables
    {
        protected $db;

        public function __construct()
        {
            $this->db = \FreePBX::Database();
        }

        protected function one($sql, ...$values)
        {
            $asked = $this->db->prepare($sql);
            $asked->execute($values);
            return $asked->fetch(PDO::FETCH_ASSOC);
        }

        protected function run($sql, ...$values)
        {
            standin_noise($sql);
            return $this->db->prepare($sql)->execute($values);
        }
    }

    class Core
    {
        use Tables;

        const ROUTE = array(
            'cidnum', 'extension', 'destination', 'privacyman', 'alertinfo', 'ringing', 'fanswer', 'mohclass', 'description',
            'grppre', 'delay_answer', 'pricid', 'pmmaxretries', 'pmminlength', 'reversal', 'rvolume', 'indication_zone',
        );

        public function getDID($extension = '', $cidnum = '')
        {
            return $this->one('SELECT * FROM incoming WHERE cidnum = ? AND extension = ?', $cidnum, $extension);
        }

        public function addDID($settings)
        {
            if ($this->getDID($settings['extension'], $settings['cidnum'])) {
                return false;
            }
            $usual = array('mohclass' => 'default', 'indication_zone' => 'default', 'privacyman' => '0', 'delay_answer' => '0');
            $values = array();
            foreach (self::ROUTE as $column) {
                $given = isset($settings[$column]) && $settings[$column] ? $settings[$column] : '';
                $values[] = $given === '' && isset($usual[$column]) ? $usual[$column] : $given;
            }
            $marks = implode(',', array_fill(0, count($values), '?'));
            $this->run('INSERT INTO incoming (' . implode(',', self::ROUTE) . ") VALUES ($marks)", ...$values);
            return true;
        }

        public function delDID($extension, $cidnum)
        {
            $this->run('DELETE FROM incoming WHERE cidnum = ? AND extension = ?', $cidnum, $extension);
        }

        public function editDID($oldExtension, $oldCidnum, $incoming)
        {
            $moves = $incoming['extension'] !== $oldExtension || $incoming['cidnum'] !== $oldCidnum;
            if ($moves && $this->getDID($incoming['extension'], $incoming['cidnum'])) {
                return false;
            }
            $this->delDID($oldExtension, $oldCidnum);
            $this->addDID($incoming);
            return true;
        }

        public function delDevice($account, $editmode = false)
        {
            if (!\FreePBX::create()->astman->connected()) {
                die_freepbx('Cannot connect to Asterisk Manager with ' . $GLOBALS['amp_conf']['AMPMGRPASS']);
            }
            $this->run('DELETE FROM devices WHERE id = ?', $account);
            $this->run('DELETE FROM sip WHERE id = ?', $account);
            return true;
        }

        public function delUser($extension, $editmode = false)
        {
            if (file_exists($GLOBALS['amp_conf']['STANDIN'] . '/dies-in-the-middle')) {
                die_freepbx('a module did not like it');
            }
            $this->run('DELETE FROM users WHERE extension = ?', $extension);
            \FreePBX::create()->astman->database_deltree("AMPUSER/$extension");
            if (!$editmode && !file_exists($GLOBALS['amp_conf']['STANDIN'] . '/no-hook')) {
                \FreePBX::Voicemail()->removeMailbox($extension);
                \FreePBX::Voicemail()->delMailbox($extension);
            }
            return true;
        }
    }

    class Userman
    {
        use Tables;

        private function refused($message)
        {
            return array('status' => false, 'type' => 'danger', 'message' => $message);
        }

        private function directory($id)
        {
            return $this->one('SELECT * FROM userman_directories WHERE id = ?', $id);
        }

        public function getAuthPermission($id, $permission = null)
        {
            return $this->directory($id)['driver'] === 'Freepbx';
        }

        public function getUserByID($id, $extraInfo = true)
        {
            return $this->one('SELECT * FROM userman_users WHERE id = ?', $id);
        }

        public function deleteUserByID($id)
        {
            if (!is_numeric($id)) {
                throw new Exception('ID was not numeric');
            }
            if (!$this->getUserByID($id)) {
                return $this->refused('User Does Not Exist');
            }
            $this->run('DELETE FROM userman_users WHERE id = ?', $id);
            return array('status' => true);
        }

        public function updateUser(
            $uid, $prevUsername, $username, $default = 'none', $description = null, $extraData = [], $password = null,
            $nodisplay = false
        ) {
            standin_noise("updateUser $password");
            $user = $this->getUserByID($uid);
            if ($this->directory($user['auth'])['locked']) {
                return $this->refused('Directory is locked. Can not update user');
            }
            if ($user['username'] !== $prevUsername) {
                return $this->refused("User '$prevUsername' Does Not Exist");
            }
            if ($password != '' && strlen($password) < $GLOBALS['amp_conf']['SHORTEST']) {
                return $this->refused("Password did not match the password policies: $password");
            }
            if ($password !== null) {
                $hash = password_hash($password, PASSWORD_BCRYPT, array('cost' => 4));
                $this->run('UPDATE userman_users SET password = ? WHERE id = ?', $hash, $uid);
            }
            $this->run(
                'UPDATE userman_users SET username = ?, description = ?, default_extension = ? WHERE id = ?',
                $username, $description ?: null, $default, $uid
            );
            if ($extraData) { // what is not told stays, unless it was empty
                $columns = array('fname', 'lname', 'displayname', 'email', 'cell', 'work', 'home', 'title');
                foreach ($columns as $column) {
                    $value = $extraData[$column] ?? (!empty($user[$column]) ? $user[$column] : null);
                    $this->run("UPDATE userman_users SET $column = ? WHERE id = ?", $value, $uid);
                }
            }
            return array('status' => true, 'type' => 'success', 'message' => 'Updated User', 'id' => $uid);
        }
    }

    class Voicemail
    {
        private $cache = array();

        private function file()
        {
            return \FreePBX::Config()->get('ASTETCDIR') . '/voicemail.conf';
        }

        public function getVoicemail($cached = true)
        {
            if ($cached && $this->cache) {
                return $this->cache;
            }
            $found = array();
            $context = '';
            foreach (file($this->file(), FILE_IGNORE_NEW_LINES) as $line) {
                if (preg_match('/^\[(.*)\]/', $line, $match)) {
                    $context = $match[1];
                    $found[$context] = array();
                } elseif ($context === 'general' && strpos($line, '=')) {
                    list($key, $value) = explode('=', $line, 2);
                    $found[$context][$key] = $value;
                } elseif (preg_match('/^\s*([^;=\s]+)\s*=>?\s*(.*)$/', $line, $match)) {
                    $part = explode(',', $match[2]) + array('', '', '', '', '');
                    $options = array();
                    foreach (array_filter(explode('|', $part[4])) as $option) {
                        list($key, $value) = explode('=', $option, 2);
                        $options[$key] = $value;
                    }
                    $found[$context][$match[1]] = array(
                        'mailbox' => $match[1], 'pwd' => $part[0], 'name' => $part[1], 'email' => $part[2],
                        'pager' => $part[3], 'options' => $options,
                    );
                }
            }
            return $this->cache = $found;
        }

        public function getMailbox($mailbox, $cached = true)
        {
            foreach ($this->getVoicemail($cached) as $context => $boxes) {
                if ($context !== 'general' && isset($boxes[$mailbox])) {
                    $box = $boxes[$mailbox];
                    return array(
                        'vmcontext' => $context, 'pwd' => $box['pwd'], 'name' => $box['name'],
                        'email' => str_replace('|', ',', $box['email']), 'pager' => $box['pager'],
                        'options' => $box['options'],
                    );
                }
            }
            return null;
        }

        public function updateMailbox($mailbox, $settings, $cached = true)
        {
            $all = $this->getVoicemail($cached);
            if (empty($settings['vmcontext'])) {
                throw new Exception('There is no context!');
            }
            $context = $settings['vmcontext'];
            unset($settings['vmcontext']);
            if (empty($all[$context][$mailbox])) {
                throw new Exception('Mailbox did not previously exist. Did you mean to addMailbox?');
            }
            $all[$context][$mailbox] = $settings;
            $this->saveVoicemail($all);
            return true;
        }

        public function removeMailbox($mailbox, $cached = true)
        {
            return true;
        }

        public function delMailbox($mailbox, $cached = true)
        {
            $all = $this->getVoicemail($cached);
            foreach ($all as $context => $boxes) {
                if (isset($boxes[$mailbox])) {
                    unset($all[$context][$mailbox]);
                    $this->saveVoicemail($all);
                    return true;
                }
            }
            return false;
        }

        public function saveVoicemail($vmconf, $fromReload = false)
        {
            $text = '';
            foreach ($vmconf as $context => $lines) {
                $text .= "[$context]\n";
                foreach ($lines as $key => $line) {
                    if ($context === 'general') {
                        $text .= "$key=$line\n";
                        continue;
                    }
                    $options = array();
                    foreach ($line['options'] ?: array() as $name => $value) {
                        $options[] = "$name=$value";
                    }
                    $text .= "$key=" . implode(',', array(
                        $line['pwd'], str_replace(',', '', $line['name']), str_replace(',', '|', $line['email']),
                        $line['pager'], implode('|', $options),
                    )) . "\n";
                }
                $text .= "\n";
            }
            standin_noise($text);
            if (!file_exists($GLOBALS['amp_conf']['STANDIN'] . '/disk-is-full')) {
                file_put_contents($this->file(), $text);
            }
            $this->cache = array();
        }
    }
}

namespace {
    standin_noise('start');
    if (file_exists($amp_conf['STANDIN'] . '/does-not-start')) {
        die_freepbx('Unable to load BMO');
    }
    FreePBX::create()->astman = new AGI_AsteriskManager();
}
