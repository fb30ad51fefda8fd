<?php
// A look behind, for the tests: each line of standard input is [SQL, [values]], each of the output the rows, as JSON.
list(, $socket, $name) = $argv;
$db = new PDO("mysql:unix_socket=$socket;dbname=$name;charset=utf8mb4", 'root', '', array(
    PDO::ATTR_ERRMODE => PDO::ERRMODE_EXCEPTION,
));
while (($line = fgets(STDIN)) !== false) {
    list($sql, $values) = json_decode($line, true);
    try {
        if ($sql === 'verify') {
            $told = password_verify($values[0], $values[1]);
        } elseif ($sql === 'hash') {
            $told = password_hash($values[0], PASSWORD_BCRYPT, array('cost' => 4));
        } else {
            $asked = $db->prepare($sql);
            $asked->execute($values);
            $told = $asked->columnCount() ? $asked->fetchAll(PDO::FETCH_ASSOC) : array();
        }
    } catch (PDOException $error) {
        $told = $error->getMessage();
    }
    echo json_encode($told, JSON_INVALID_UTF8_SUBSTITUTE), "\n";
}
