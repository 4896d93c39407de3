# fish completion for gangway's options in
#
#     docker network create -d gangway -o NAME=VALUE
#
# fish reads one file a command, the first that it finds. This one reads docker's own
# first, which may forget all that was there before. The names and values are those of
# the command gangway, so they are never out of date. Belongs into
# /etc/fish/completions, with the name docker.fish.

for folder in $fish_complete_path
    set -l file $folder/docker.fish
    if test -f $file; and test (realpath $file) != (realpath (status filename))
        source $file
        break
    end
end

# __gangway_docker_network says whether the line makes a network of gangway.
function __gangway_docker_network
    string match -qr '\snetwork\s(.*\s)?create\s' -- (commandline -p | string collect)
    and string match -qr '\s(-d|--driver)[\s=]+\S*gangway' -- (commandline -p | string collect)
end

# __gangway_docker_options prints the options, and the values of the one at the cursor.
function __gangway_docker_options
    set -l part (commandline -ct | string replace -r -- '^(-o|--opt)=' '')
    gangway options --words --network 2>/dev/null | while read -l name values
        if string match -q -- "$name=*" $part
            for value in (string split -n ' ' -- $values)
                echo $name=$value
            end
        else
            echo $name=
        end
    end
end

complete -c docker -n __gangway_docker_network -s o -l opt -x -a '(__gangway_docker_options)'
